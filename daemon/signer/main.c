/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - ocid-signer: arguments, hardening, threads.
 */
int main(void)
{
    return 1;
}
