/* SPDX-License-Identifier: Apache-2.0
 *
 * tool.h - what ocictl asks of the program ocid-signer without a daemon: keys, files, checks.
 *
 * `ocid-signer VERB [--OPTION VALUE]...`, a pass phrase on standard input (nothing: none). Standard
 * output has lines "name<TAB>value", control bytes escaped; what failed is a line "error".
 *
 * verb          options                                     lines
 * setup         config home profile user tenancy region     config key_file public_file fingerprint
 *               key-file overwrite                          bits made encrypted
 * key           config home profile key-file                the same but config
 * look          config home profile key-file                key_file there encrypted
 * fingerprint   home key-file                               fingerprint bits
 * permissions   config home                                 closed (any number)
 * check         config home profile auth region quick       check level text mend (any number);
 *                                                           then host key_id key_file
 */
#ifndef SIGNER_TOOL_H
#define SIGNER_TOOL_H

/* Exit status: that of the error. -1: argv[1] is no verb. */
int tool_run(int argc, char **argv);

#endif
