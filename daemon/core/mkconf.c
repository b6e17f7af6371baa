/* SPDX-License-Identifier: Apache-2.0
 *
 * mkconf.c - prints conf/ocid.conf; run by the build target "conf".
 */
#include "core/config.h"

int main(void)
{
    return config_print_example(stdout) ? 1 : 0;
}
