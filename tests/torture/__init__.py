# SPDX-License-Identifier: Apache-2.0
"""torture - ocid is killed, cut off, lied to and starved of everything, and nothing may be lost."""
