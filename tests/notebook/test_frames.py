# SPDX-License-Identifier: Apache-2.0
"""test_frames.py - pandas, pyarrow and dask over ocid://: what is written is what is read."""

import dask
import dask.dataframe
import numpy
import pandas
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest
import upath

from ocid.fs import OcidFileSystem

ROWS = 200_000


@pytest.fixture
def frame():
    random = numpy.random.default_rng(7)
    return pandas.DataFrame({"step": numpy.arange(ROWS), "energy": random.normal(size=ROWS),
                             "kind": random.choice(["ice", "water", "dämpf"], ROWS)})


@pytest.fixture
def options(ocid):
    return {"socket": ocid.socket, "timeout_job": 60}


FORMATS = [
    ("csv", lambda f, to, o: f.to_csv(to, index=False, storage_options=o), pandas.read_csv),
    ("csv.gz", lambda f, to, o: f.to_csv(to, index=False, storage_options=o), pandas.read_csv),
    ("parquet", lambda f, to, o: f.to_parquet(to, storage_options=o), pandas.read_parquet),
    ("json", lambda f, to, o: f.to_json(to, orient="records", lines=True, double_precision=15,
                                        storage_options=o),
     lambda place, **more: pandas.read_json(place, orient="records", lines=True, **more)),
    ("pickle", lambda f, to, o: f.to_pickle(to, storage_options=o), pandas.read_pickle),
    ("feather", lambda f, to, o: f.to_feather(to, storage_options=o), None),
]


@pytest.mark.parametrize("name, write, read", FORMATS, ids=[name for name, *_ in FORMATS])
def test_pandas(b, frame, options, name, write, read):
    place = f"ocid://{b}/dir/f.{name}"
    write(frame, place, options)
    if read is None:
        back = pandas.read_feather(place, storage_options=options)
    else:
        back = read(place, storage_options=options)
    pandas.testing.assert_frame_equal(back, frame, check_exact=name != "json", check_dtype=False)


def test_columns_are_read_alone(store, b, frame, options):
    place = f"ocid://{b}/f.parquet"
    frame.to_parquet(place, storage_options=options, row_group_size=20_000)
    whole = store.object_info(f"{b}/f.parquet")["size"]
    store.clear_log()
    steps = pandas.read_parquet(place, columns=["kind"], storage_options=options)
    assert (steps["kind"] == frame["kind"]).all()
    assert sum(entry["sent"] for entry in store.log("GetObject")) < whole


def test_pyarrow(store, b, frame, options):
    fs = OcidFileSystem(**options)
    table = pyarrow.Table.from_pandas(frame)
    pyarrow.parquet.write_table(table, f"{b}/one.parquet", filesystem=fs)
    assert pyarrow.parquet.read_table(f"{b}/one.parquet", filesystem=fs).equals(table)
    pyarrow.dataset.write_dataset(table, f"{b}/parts", format="parquet", filesystem=fs,
                                  partitioning=["kind"], partitioning_flavor="hive")
    assert len(store.names(b)) == 4
    found = pyarrow.dataset.dataset(f"{b}/parts", filesystem=fs, partitioning="hive")
    ice = found.to_table(filter=pyarrow.dataset.field("kind") == "ice")
    assert ice.num_rows == (frame["kind"] == "ice").sum()


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_dask(store, b, frame, options, scheduler):
    place = f"ocid://{b}/frame"
    with dask.config.set(scheduler=scheduler, num_workers=2):
        parts = dask.dataframe.from_pandas(frame, npartitions=6)
        parts.to_parquet(place, storage_options=options)
        assert len([name for name in store.names(b) if name.endswith(".parquet")]) == 6
        back = dask.dataframe.read_parquet(place, storage_options=options)
        pandas.testing.assert_frame_equal(back.compute(), frame, check_dtype=False)
        assert back.energy.mean().compute() == pytest.approx(frame.energy.mean())
        parts.to_csv(f"ocid://{b}/csv/*.csv", index=False, storage_options=options)
        again = dask.dataframe.read_csv(f"ocid://{b}/csv/*.csv", storage_options=options)
        assert len(again) == ROWS


def test_paths(store, b, options):
    top = upath.UPath(f"ocid://{b}/top", **options)
    (top / "a/b.txt").write_text("words")
    assert store.object_bytes(f"{b}/top/a/b.txt") == b"words"
    assert (top / "a" / "b.txt").read_text() == "words" and (top / "a").is_dir()
    assert [path.name for path in top.iterdir()] == ["a"]
    assert [path.name for path in top.rglob("*.txt")] == ["b.txt"]
    (top / "a/b.txt").unlink()
    assert not (top / "a/b.txt").exists()
