# SPDX-License-Identifier: Apache-2.0
"""test_stream.py - what comes down a pipe: it is uploaded while it is read, the disk holds a few
parts of it, and from its end on the job outlives everything."""

import os
import signal
import subprocess
import threading

import pytest
from harness import KIB, MIB, blob, sha, until


class Push:
    """`ocictl push -` with a pipe that the test writes into."""

    def __init__(self, ocid, to, *args, **more):
        self.ocid = ocid
        self.before = {s.id for s in ocid.client.jobs()}
        self.process = subprocess.Popen(
            [f"{ocid.bin}/ocictl", "push", *args, "-", f"oci://{to}"], env=ocid.env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, **more)
        self.job = until(self._new, "the job is taken")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def _new(self):
        return next((s.id for s in self.ocid.client.jobs() if s.id not in self.before), None)

    def write(self, data):
        view = memoryview(data)
        while view:
            view = view[self.process.stdin.write(view):]

    def end(self, data=b""):
        """The end of the pipe; the exit status, what was said."""
        self.write(data)
        out, err = self.process.communicate(timeout=15)
        return self.process.returncode, out.decode(), err.decode()


def spooled(ocid):
    """What the spool takes of the disk."""
    return sum(path.stat().st_blocks * 512 for path in ocid.state.rglob("spool/*"))


def nothing_left(ocid, store, b):
    until(lambda: store.uploads(b) == [], "the upload is aborted")
    until(lambda: not list(ocid.state.rglob("spool/*")), "the spool is empty")


@pytest.mark.parametrize("size", [0, 1, 64 * KIB, MIB - 1, MIB])
def test_what_ends_within_the_threshold_is_one_request(ocid, store, b, size):
    done = ocid.ctl("push", "--wait", "-", f"oci://{b}/o", input=blob(size))
    assert done.status == 0, done
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    assert (store.count("PutObject"), store.count("CreateMultipartUpload")) == (1, 0)
    nothing_left(ocid, store, b)


@pytest.mark.parametrize("size", [MIB + 1, 2 * MIB, 3 * MIB, 20 * MIB + 77])
def test_more_than_that_is_sent_in_parts(ocid, store, b, size):
    done = ocid.ctl("push", "--wait", "-", f"oci://{b}/o", input=blob(size))
    assert done.status == 0, done
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    assert store.parts_received(f"{b}/o") == list(range(1, -(-size // MIB) + 1))
    (job,) = ocid.client.jobs()
    status = ocid.status(job.id)
    assert (status.outcome.verified, status.outcome.bytes) == ("crc32c", size)
    nothing_left(ocid, store, b)


def test_a_slow_writer_is_waited_for_and_shown(ocid, store, b):
    with Push(ocid, f"{b}/o") as push:
        sent = b""
        for i, size in enumerate((1, 700, MIB, 1, 2 * MIB + 5)):
            push.write(blob(size, i))
            sent += blob(size, i)
            status = ocid.wait_that(push.job, lambda s, n=sent: s.reading and s.state == "running",
                                    "being read")
            assert status.bytes_total is None
        until(lambda: len(store.parts_received(f"{b}/o")) >= 3, "whole parts are sent meanwhile")
        assert "running: reading" in ocid.ctl("status").out
        assert "the end of its pipe is still to come" in ocid.ctl("status", str(push.job)).out
        assert push.process.poll() is None
        refused = ocid.ctl("pause", str(push.job))
        assert refused.status and "when the end of its pipe has been read" in refused.err, refused
        assert push.end() == (0, f"{push.job}\n", "")
        ocid.done(push.job)
    assert store.object_sha(f"{b}/o") == sha(sent)


def test_a_slow_store_slows_the_writer_and_little_is_on_disk(make_ocid, store, b):
    ocid = make_ocid(transfer__connections=4).start()
    rule = store.on("UploadPart", do="hang", count=0)
    data = blob(24 * MIB)
    source = ocid.file(data)
    with open(source, "rb") as file, subprocess.Popen(["cat"], stdin=file,
                                                      stdout=subprocess.PIPE) as cat:
        with subprocess.Popen([f"{ocid.bin}/ocictl", "push", "-", f"oci://{b}/o"], env=ocid.env,
                              stdin=cat.stdout, stdout=subprocess.PIPE) as push:
            cat.stdout.close()
            store.wait_hit("UploadPart", 4)
            until(lambda: spooled(ocid) >= 5 * MIB, "one more than are in flight is read")
            most = held = spooled(ocid)
            while push.poll() is None:
                store.release(rule)
                most = max(most, spooled(ocid))
            store.clear()
            assert held <= 5 * MIB + 64 * KIB
            assert most <= 12 * MIB  # what has arrived is cut out a little later
            assert push.returncode == 0 and cat.wait(10) == 0
            ocid.done(int(push.stdout.read()))
    assert store.object_sha(f"{b}/o") == sha(data)
    nothing_left(ocid, store, b)


@pytest.mark.parametrize("size", [0, 10, MIB + 1, 5 * MIB])
@pytest.mark.parametrize("crash", [True, False])
def test_before_its_end_the_job_ends_with_the_daemon(ocid, store, b, size, crash):
    with Push(ocid, f"{b}/o") as push:
        push.write(blob(size))
        if size > MIB:  # before there is a part, the upload's id may be lost with the daemon
            until(lambda: store.parts_received(f"{b}/o"), "a part has arrived")
        if crash:
            ocid.crash()
        else:
            ocid.restart()
        status, out, err = push.end()
        assert not out and ((status == 7 and "before the end of the pipe was read" in err) or
                            (status == 3 and "before it replied" in err)), err
        ocid.failed(push.job, "source_changed")
        assert ocid.ctl("retry", str(push.job)).status
    assert not store.exists(f"{b}/o")
    nothing_left(ocid, store, b)


@pytest.mark.parametrize("size", [0, 10, MIB, MIB + 1, 4 * MIB + 5])
@pytest.mark.parametrize("at", ["PutObject|CreateMultipartUpload", "PutObject|UploadPart",
                                "PutObject|CommitMultipartUpload"])
def test_after_its_end_the_job_outlives_a_crash(make_ocid, store, b, size, at):
    ocid = make_ocid(transfer__connections=8).start()
    store.on(at, do="hang", count=0)
    with Push(ocid, f"{b}/o") as push:
        if "Create" in at and size > MIB:  # no more is taken before there is an upload
            push.write(blob(size)[:MIB + KIB])
            ocid.crash()
            assert push.end()[0] in (3, 7)  # 3: the reply was lost
            return
        assert push.end(blob(size))[:2] == (0, f"{push.job}\n")
    ocid.crash()
    ocid.crash()
    store.clear()
    ocid.done(push.job)
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    nothing_left(ocid, store, b)


def test_parts_that_have_arrived_are_not_sent_again(make_ocid, store, b):
    ocid = make_ocid(transfer__connections=4).start()
    store.on("UploadPart", part=6, do="hang", count=0)
    with Push(ocid, f"{b}/o") as push:
        assert push.end(blob(8 * MIB))[0] == 0
    until(lambda: ocid.status(push.job).parts_done == 7, "all but one are there")
    ocid.client.set()  # what was written before this was acknowledged is on the disk, too
    until(lambda: spooled(ocid) <= MIB + 64 * KIB, "what has arrived is cut out of the spool")
    ocid.kill()
    store.clear()
    store.clear_log()
    ocid.start()
    ocid.done(push.job)
    assert store.count("UploadPart") == 1
    assert store.object_sha(f"{b}/o") == sha(blob(8 * MIB))
    nothing_left(ocid, store, b)


def two_of_three(make_ocid, store, b):
    """A push read to its end, of which two parts have arrived and are known on disk."""
    ocid = make_ocid(transfer__connections=4).start()
    store.on("UploadPart", part=3, do="hang", count=0)
    with Push(ocid, f"{b}/o") as push:
        assert push.end(blob(3 * MIB))[0] == 0
    until(lambda: ocid.status(push.job).parts_done == 2, "two are there")
    ocid.client.set()
    return ocid, push


def test_holes_are_not_sent_though_the_parts_cannot_be_read_at_once(make_ocid, store, b):
    """What has arrived is known from the queue alone: the spool has nothing there but zeros."""
    ocid, push = two_of_three(make_ocid, store, b)
    until(lambda: spooled(ocid) <= MIB + 64 * KIB, "what has arrived is cut out of the spool")
    ocid.kill()
    store.clear()
    ocid.start(OCID_FAULT="store.read:1")
    ocid.done(push.job)
    assert store.object_sha(f"{b}/o") == sha(blob(3 * MIB))
    nothing_left(ocid, store, b)


def test_parts_that_the_service_has_lost_fail_the_job(make_ocid, store, b):
    """Holes of the spool are never sent as if they were the bytes."""
    ocid, push = two_of_three(make_ocid, store, b)
    ocid.kill()
    store.clear()
    another = make_ocid().start().client
    (upload,) = another.uploads(b)
    another.wait([another.abort(f"{b}/o", upload.upload_id)])
    ocid.start()
    failed = ocid.failed(push.job, "source_changed")
    assert "the service has lost parts of the upload" in failed.outcome.text
    assert not store.exists(f"{b}/o")
    nothing_left(ocid, store, b)


@pytest.mark.parametrize("size", [0, 10, 4 * MIB])
@pytest.mark.parametrize("args", [[], ["--wait"]])
def test_ctrl_c_before_the_end_leaves_nothing(ocid, store, b, size, args):
    with Push(ocid, f"{b}/o", *args) as push:
        push.write(blob(size))
        push.process.send_signal(signal.SIGINT)
        assert push.process.wait(60) == 130
        assert b"nothing is uploaded" in push.process.stderr.read()
        assert ocid.wait(push.job).state == "cancelled"
    assert not store.exists(f"{b}/o")
    nothing_left(ocid, store, b)


def test_cancelled_by_another_the_writer_sees_it(ocid, store, b):
    with Push(ocid, f"{b}/o") as push:
        push.write(blob(3 * MIB))
        ocid.client.cancel([push.job])
        assert push.process.wait(60) == 1
        with pytest.raises(BrokenPipeError):
            push.write(blob(4 * MIB))
    nothing_left(ocid, store, b)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_full_disk_is_waited_for(ocid, store, b, nth):
    ocid.restart(OCID_FAULT=f"spool.fill:{nth}")
    with Push(ocid, f"{b}/o") as push:
        data = b"".join(blob(MIB + 1, i) for i in range(4))
        writer = threading.Thread(target=push.write, args=[data])
        writer.start()
        ocid.wait_for(push.job, "waiting", "space")
        ocid.client.resume([push.job])
        writer.join()
        assert push.end()[0] == 0
        ocid.done(push.job)
    assert store.object_sha(f"{b}/o") == sha(data)
    nothing_left(ocid, store, b)


@pytest.mark.parametrize("size", [10, 3 * MIB])
@pytest.mark.parametrize("told", [-1, 0, 1])
def test_another_size_than_was_told_fails(ocid, store, b, size, told):
    done = ocid.ctl("push", "--wait", f"--size={size + told}", "-", f"oci://{b}/o",
                    input=blob(size))
    assert done.status == (7 if told else 0), done
    assert store.exists(f"{b}/o") == (not told)
    if told:
        assert f"and {size + told} were announced" in done.err
    nothing_left(ocid, store, b)


def test_a_file_as_standard_input_is_read_from_where_it_stands(ocid, store, b):
    with open(ocid.file(blob(3 * MIB)), "rb") as file:
        os.lseek(file.fileno(), 1000, os.SEEK_SET)
        subprocess.run([f"{ocid.bin}/ocictl", "push", "--wait", "-", f"oci://{b}/o"], env=ocid.env,
                       stdin=file, check=True, capture_output=True)
    assert store.object_sha(f"{b}/o") == sha(blob(3 * MIB)[1000:])


def test_standard_input_that_cannot_be_read_uploads_nothing(ocid, store, b, tmp_path):
    for path, flags in ((tmp_path, os.O_RDONLY), (tmp_path / "w", os.O_WRONLY | os.O_CREAT)):
        fd = os.open(path, flags)
        done = subprocess.run([f"{ocid.bin}/ocictl", "push", "-", f"oci://{b}/o"], env=ocid.env,
                              stdin=fd, check=False, capture_output=True)
        os.close(fd)
        assert done.returncode == 1 and b"cannot read standard input" in done.stderr, done
    assert not store.exists(f"{b}/o")
    nothing_left(ocid, store, b)


def test_a_pipe_stays_blocking_for_its_writer(ocid, store, b):
    with Push(ocid, f"{b}/o") as push:
        push.write(b"x")
        ocid.wait_that(push.job, lambda s: s.reading and s.bytes_done == 0, "being read")
        assert os.get_blocking(push.process.stdin.fileno())
        assert push.end()[0] == 0
