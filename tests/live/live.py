# SPDX-License-Identifier: Apache-2.0
"""live.py - the run of tests/live/run.sh, whose head says how it is used: who.py finds out as whom
and where, questions.py asks, mover.py lets ocid move a file, service.py sends and cleans up."""
import argparse
import json
import os
import signal
import sys

import mover
from questions import QUESTIONS, Unsettled
from service import ODD, UNHEARD, Place, Service
from who import Profile, endpoint_of, give_up, programs, proxy_of, reason

SILENT_MAX = 3  # questions one after the other that had no answer: the service is gone
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal; only the first one: what is ours is cleaned up whatever comes then."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def on_signal(number, _frame):
    undisturbed()
    print("live: interrupted: deleting what was made", file=sys.stderr, flush=True)
    raise Stopped(number)


def undisturbed():
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def positive(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds")
    return int(text)


def arguments():
    a = argparse.ArgumentParser(prog="run.sh", description="Asks the real service what only it can "
                                "answer, below a prefix of its own in BUCKET.")
    a.add_argument("bucket", metavar="BUCKET", help="one of yours that keeps no versions")
    a.add_argument("--profile", metavar="NAME",
                   default=os.environ.get("OCI_CLI_PROFILE", "DEFAULT"))
    a.add_argument("--config", metavar="FILE", help="with the profile, as the SDKs read it",
                   default=os.environ.get("OCI_CLI_CONFIG_FILE", "~/.oci/config"))
    a.add_argument("--passphrase-fd", type=int, metavar="N",
                   help="read the key's pass phrase from descriptor N")
    a.add_argument("--proxy", metavar="URL",
                   help="instead of the environment's https_proxy; '': none")
    a.add_argument("--ca-file", metavar="FILE",
                   help="authorities to trust, instead of the system's")
    a.add_argument("--patience", type=positive, default=300, metavar="SECONDS",
                   help="how long ocid may take for one transfer (300)")
    a.add_argument("--yes", action="store_true", help="do not ask before it begins")
    a.add_argument("--json", action="store_true", help="a line of JSON a question")
    a.add_argument("--endpoint", metavar="URL", help="of a stand-in for the service")
    a.add_argument("--namespace", metavar="NAME", help="instead of the tenancy's own")
    args = a.parse_args()
    args.config = os.path.abspath(os.path.expanduser(args.config))
    return args


def printable(text):
    return "".join(c if c.isprintable() else "?" for c in text)


class Report:
    """A line a question."""

    def __init__(self, as_json):
        self.as_json, self.verdicts = as_json, []

    def say(self, name, claim, expected, found, why=None):
        """found: None if the claim is not settled, for the reason why."""
        verdict = ("not settled" if found is None else
                   "as expected" if found == expected else "differs")
        self.verdicts.append(verdict)
        claim = " ".join(claim.split())
        if self.as_json:
            row = {"name": name, "claim": claim, "found": found, "expected": expected,
                   "verdict": verdict, **({"why": why} if why else {})}
            print(json.dumps(row), flush=True)
            return
        value = found if found is not None else why
        wanted = "" if verdict == "as expected" else f" (expected {expected})"
        print(printable(f"{verdict:<11}  {name}: {value}{wanted} - {claim}"), flush=True)

    def count(self, verdict):
        return self.verdicts.count(verdict)


def consent(args, place):
    print(f"live: about {7 * len(QUESTIONS) // 2} requests and 20 MB below {place.prefix} in "
          f"{args.bucket}, as profile {args.profile}; all of it is deleted at the end.",
          file=sys.stderr, flush=True)
    if args.yes:
        return
    if not sys.stdin.isatty():
        give_up("nothing was done: --yes begins without asking")
    try:
        answer = input("Begin? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        give_up("nothing was done")


def find_place(args, service, region):
    """The namespace and the bucket, and that the latter is one to try things in."""
    r = service.first("/n/")
    if r.status == 401:
        give_up(f"the service refuses profile {args.profile}: {r} {r.field('message')}; ocictl "
                "doctor finds out why")
    if r.status != 200:
        give_up(f"{service.endpoint} does not answer as Object Storage does: {r}; check the "
                "region and --endpoint")
    namespace = args.namespace or r.json()
    place = Place(service, namespace, args.bucket, region)
    r = service.first(place.base)
    if r.status != 200:
        give_up(f"the bucket {args.bucket} of namespace {namespace} does not exist in {region}, or "
                f"profile {args.profile} may not read it: {r}; ocictl mkbucket makes one, ocictl "
                f"setup --print-policy oci://{args.bucket}/ocid-live prints the rights that are "
                "needed")
    if r.json().get("versioning", "Disabled") != "Disabled":
        give_up(f"the bucket {args.bucket} keeps versions, so deleting would leave them there: "
                "take one without versioning")
    return place


def try_to_write(args, place):
    """The first object: a profile that may only read is told before fifty questions fail."""
    put, gone = place.put("first", b"x"), None
    if put.status == 200:
        gone = place.ask("DELETE", place.o("first"))
    if put.status != 200 or gone.status != 204:
        verb, r = ("write", put) if put.status != 200 else ("delete what it has written", gone)
        give_up(f"profile {args.profile} may not {verb} in the bucket {args.bucket}: {r}; ocictl "
                f"setup --print-policy oci://{args.bucket}/ocid-live prints the rights that are "
                "needed")


def ask_all(place, report):
    silent = 0
    for function, expected in QUESTIONS:
        found = why = None
        try:
            found = function(place)
            silent = 0
        except Unsettled as error:
            why, silent = str(error), 0
        except ODD as error:
            why = f"{type(error).__name__}: {reason(error)}"
            silent = silent + 1 if isinstance(error, UNHEARD) else 0
        report.say(function.__name__, function.__doc__, expected, found, why)
        if silent == SILENT_MAX:
            print("live: the service does not answer any more: the rest is not asked",
                  file=sys.stderr)
            return


def clean(args, place):
    """Whether nothing of ours is left."""
    undisturbed()
    left = 1
    try:
        left = place.clean()
    except ODD as error:
        print(f"live: {type(error).__name__}: {reason(error)}", file=sys.stderr)
    if left:
        print(f"live: not all below {place.prefix} in {args.bucket} could be deleted: look there "
              "for objects and unfinished uploads", file=sys.stderr)
    return not left


def run(args, where, profile, proxy, place, report):
    """Asks everything; whether it is tidy afterwards."""
    try:
        try_to_write(args, place)
        with mover.Mover(where, profile, args, proxy) as one:
            found = one.moves(place, args.bucket)
        report.say("ocid", mover.CLAIM, mover.EXPECTED, found)
        ask_all(place, report)
    finally:
        tidy = clean(args, place)
    return tidy


def main():
    args = arguments()
    where = programs()
    profile = Profile(args.config, args.profile, args.passphrase_fd)
    endpoint, region = endpoint_of(args, profile)
    proxy = proxy_of(args, endpoint)
    service = Service(profile, endpoint, args.ca_file, proxy)
    place = find_place(args, service, region)
    consent(args, place)
    for number in ENDING:
        signal.signal(number, on_signal)
    report = Report(args.json)
    tidy = run(args, where, profile, proxy, place, report)
    missing, differ = report.count("not settled"), report.count("differs")
    print(f"{len(report.verdicts) - missing} settled, {missing} not settled, {differ} differ; "
          f"{service.n} requests", file=sys.stderr if args.json else sys.stdout)
    return 0 if tidy and not missing else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Stopped as stopped:
        sys.exit(128 + stopped.number)
    except KeyboardInterrupt:  # before anything was made
        sys.exit(130)
