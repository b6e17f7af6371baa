/* SPDX-License-Identifier: Apache-2.0
 *
 * error.h - every error of ocid once: number, name, retry rule, exit status, sentence.
 *
 * Numbers are part of the protocol: they are never changed and never used again.
 * The retry rule says what the daemon does with a job that met the error:
 *   NEVER  the job fails (or, for a caller's mistake, is not taken at all)
 *   LATER  the job waits and tries again by itself
 *   CURED  the job waits until somebody has mended the cause that the error names
 */
#ifndef OCID_ERROR_H
#define OCID_ERROR_H

/* X(number, name, retry, exit status of ocictl, sentence) */
#define OCID_ERRORS(X)                                                                             \
    X(-1, INTERNAL, NEVER, 1, "a fault of ocid itself")                                            \
    X(-2, NOMEM, NEVER, 1, "out of memory")                                                        \
    X(-3, INVALID, NEVER, 2, "the request is not valid")                                           \
    X(-4, PROTOCOL, NEVER, 1, "the other side does not speak the protocol")                        \
    X(-5, VERSION, NEVER, 1, "client and daemon have no protocol version in common")               \
    X(-6, TOO_LARGE, NEVER, 2, "larger than a limit allows")                                       \
    X(-7, NO_DAEMON, NEVER, 3, "the daemon is not running")                                        \
    X(-8, DENIED_PEER, NEVER, 3, "the daemon serves another user")                                 \
    X(-9, QUEUE_FULL, LATER, 75, "the queue is full")                                              \
    X(-10, CONFIG, CURED, 5, "a configuration file has an error")                                  \
    X(-11, TIMED_OUT, NEVER, 124, "the wait has timed out")                                        \
    X(-12, DETACHED, NEVER, 130, "detached; the job goes on")                                      \
    X(-13, STOPPING, LATER, 3, "the daemon is stopping")                                           \
    X(-14, CANCELLED, NEVER, 1, "cancelled")                                                       \
    X(-15, STATE, NEVER, 1, "not possible in the job's present state")                             \
    X(-16, IO, LATER, 1, "reading or writing a file has failed")                                   \
    X(-17, UNSUPPORTED, NEVER, 2, "not supported")                                                 \
    X(-20, NOT_FOUND, NEVER, 4, "no such object, bucket or job")                                   \
    X(-21, EXISTS, NEVER, 6, "it exists already")                                                  \
    X(-22, CONDITION, NEVER, 6, "the condition was not met")                                       \
    X(-23, DENIED, NEVER, 5, "not allowed")                                                        \
    X(-24, AUTH, NEVER, 5, "the credentials were refused")                                         \
    X(-25, CHECKSUM, NEVER, 1, "the bytes arrived changed")                                        \
    X(-26, SOURCE_CHANGED, NEVER, 7, "the source changed while it was read")                       \
    X(-27, SERVER, NEVER, 1, "the service answered what retrying cannot mend")                     \
    X(-28, JOB_TIMEOUT, NEVER, 1, "the job's own time limit has passed")                           \
    X(-29, PREDECESSOR, NEVER, 1, "a job that this one waits for has not succeeded")               \
    X(-30, NAME, NEVER, 2, "the name cannot be used")                                              \
    X(-31, THROTTLED, LATER, 1, "the service asked us to slow down")                               \
    X(-32, UNAVAILABLE, LATER, 1, "the service is not available")                                  \
    X(-33, NETWORK, LATER, 1, "the network has failed")                                            \
    X(-40, LOCKED, CURED, 5, "the key is locked")                                                  \
    X(-41, LOGIN, CURED, 5, "fresh credentials are needed")                                        \
    X(-42, KEY, CURED, 5, "the key file cannot be used")                                           \
    X(-43, FILE, CURED, 1, "the source file is not there")                                         \
    X(-44, SPACE, CURED, 1, "no space is left")                                                    \
    X(-45, DESTINATION, CURED, 1, "the destination cannot be written")                             \
    X(-46, SOME_FAILED, NEVER, 8, "some of several jobs have failed")                              \
    X(-47, LOST, NEVER, 1, "the bytes were in memory only, and are gone")

/* X(name, command): what mends it, where that is the same each time. */
#define OCID_MENDS(X)                                                                              \
    X(NO_DAEMON, "ocictl start")                                                                   \
    X(DENIED_PEER, "systemctl --user start ocid.socket, or: ocictl start")

enum ocid_error {
    OCID_OK = 0,
#define OCID_ERROR_ENUM(number, name, retry, status, text) OCID_E_##name = (number),
    OCID_ERRORS(OCID_ERROR_ENUM)
#undef OCID_ERROR_ENUM
};

#endif
