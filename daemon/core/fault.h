/* SPDX-License-Identifier: Apache-2.0
 *
 * fault.h - named points where the world may fail; compiled in by OCID_FAULTS only.
 *
 * OCID_FAULT=name:n[,name:n] in the daemon's environment makes the nth hit of that point true
 * ("name:n+" every hit from the nth on). Any thread, but fault_init() before there are others.
 *
 * OC_MUTANT(name) is a promise that the daemon does not keep with OCID_FAULT=mutant.name:1+, so
 * that tests/torture can show that it would notice.
 */
#ifndef CORE_FAULT_H
#define CORE_FAULT_H

#ifdef OCID_FAULTS
int fault_hit(const char *name);
void fault_init(const char *spec);
#define OC_FAULT(name)  fault_hit(name)
#define OC_MUTANT(name) fault_hit("mutant." name)
#else
#define OC_FAULT(name)   0
#define OC_MUTANT(name)  0
#define fault_init(spec) ((void)(spec))
#endif

#endif
