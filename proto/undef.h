/* SPDX-License-Identifier: Apache-2.0
 *
 * undef.h - forgets the macros of messages.def after each use. Included many times on purpose.
 */
#undef ENUM_BEGIN
#undef ENUM_ROW
#undef ENUM_END
#undef MSG_BEGIN
#undef FIELD
#undef FIELD_ENUM
#undef FIELD_SUB
#undef FIELD_LIST
#undef MSG_END
#undef METHOD
