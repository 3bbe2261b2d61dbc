"""A workspace on a real S3 interface: a local server that the test starts; what is wrong there is a sentence."""

from pathlib import Path

import boto3
import pytest
from far_run import as_on_a_disk

from pipeline.core.errors import BadInput, Unavailable
from pipeline.store.mirror import mirrored

pytest.importorskip("s3fs", reason="s3fs is not installed")
server = pytest.importorskip("moto.server", reason="moto's server is not installed")


@pytest.fixture(scope="module")
def address():
    found = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    found.start()
    yield "http://{}:{}".format(*found.get_host_and_port())
    found.stop()


@pytest.fixture
def bucket(address, tmp_path, monkeypatch):
    """The bucket "prints", its only one, whose keys, and none else, this machine has."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    values = {
        "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": address, "INKPROOF_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="prints")
    yield client
    for found in keys(client):
        client.delete_object(Bucket="prints", Key=found)
    client.delete_bucket(Bucket="prints")


def keys(client) -> list[str]:
    return [found["Key"] for found in client.list_objects_v2(Bucket="prints").get("Contents", ())]


def test_a_workspace_comes_from_a_bucket_and_goes_there(bucket, tmp_path, monkeypatch):
    bucket.put_object(Bucket="prints", Key="work/captures/far/photos/1.jpg", Body=b"photo")
    bucket.put_object(Bucket="prints", Key="elsewhere/2.jpg", Body=b"not ours")
    with mirrored("s3://prints/work") as found:
        assert (found.folder / "captures/far/photos/1.jpg").read_bytes() == b"photo"
        assert not list(found.folder.rglob("2.jpg")) and "work/inkproof.lock" in keys(bucket)
        record = found.folder / "reports/far/.stages/rate.json"
        record.parent.mkdir(parents=True)
        record.write_bytes(b"done")
        (found.folder / "reports/far/rates.csv").write_bytes(b"1")
        (found.folder / "captures/far/photos/1.jpg").unlink()
    assert keys(bucket) == ["elsewhere/2.jpg", "work/reports/far/.stages/rate.json", "work/reports/far/rates.csv"]
    bucket.put_object(Bucket="prints", Key="work/reports/far/rates.csv", Body=b"2")
    with mirrored("s3://prints/work", writes=False) as again:
        assert (again.folder / "reports/far/rates.csv").read_bytes() == b"2"
    monkeypatch.setenv("INKPROOF_CACHE", str(tmp_path / "other"))
    with mirrored("s3://prints/work", writes=False) as other:
        assert (other.folder / "reports/far/.stages/rate.json").read_bytes() == b"done"


def test_two_commands_are_kept_apart(bucket, tmp_path, monkeypatch):
    with mirrored("s3://prints/work"):
        monkeypatch.setenv("INKPROOF_CACHE", str(tmp_path / "other"))
        with pytest.raises(Unavailable, match="Another inkproof is working in s3://prints/work"), mirrored("s3://prints/work"):
            pass
    assert keys(bucket) == []


@pytest.mark.parametrize("writes", [True, False])
def test_a_bucket_that_is_not_there_is_a_sentence(bucket, writes):
    with pytest.raises(BadInput, match="there is no such bucket"), mirrored("s3://no-prints/work", writes):
        pass


def test_missing_credentials_are_a_sentence(bucket, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(Unavailable, match=r"no credentials were found\. Set AWS_ACCESS_KEY_ID"), mirrored("s3://prints/work"):
        pass
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_store_that_does_not_answer_is_a_sentence(bucket, monkeypatch):
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(Unavailable, match="cannot be reached"), mirrored("s3://prints/work"):
        pass
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.slow
def test_a_run_in_a_bucket_goes_on_elsewhere_and_has_the_bytes_of_one_on_a_disk(bucket, tmp_path, monkeypatch):
    def copied(to: Path) -> None:
        for key in keys(bucket):
            place = to / key.removeprefix("work/")
            place.parent.mkdir(parents=True, exist_ok=True)
            bucket.download_file("prints", key, str(place))

    other = tmp_path / "other"
    as_on_a_disk(tmp_path, "s3://prints/work", lambda: monkeypatch.setenv("INKPROOF_CACHE", str(other)), copied)
