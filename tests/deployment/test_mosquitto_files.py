"""The broker's files in `edge/mosquitto`: a real Mosquitto 2 takes them, and every topic has exactly its writers."""

import getpass
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from shelfvision.config import BrokerSection
from shelfvision.errors import BrokerError
from shelfvision.transport.mosquitto import find_mosquitto, free_port, wait_for_port
from shelfvision.transport.mqtt import Connection, Wakeup
from shelfvision.transport.reasons import NO_MATCHING_SUBSCRIBERS, SUCCESS
from shelfvision.transport.topics import Topics

FOLDER = Path(__file__).parents[2] / "edge/mosquitto"
CLIENTS = ("edge-1", "edge-2", "service", "staff", "reader", "stranger")
TOPICS = Topics("shop")
OF_EDGE_1 = [
    TOPICS.events("edge-1"),
    TOPICS.device_status("edge-1"),
    TOPICS.camera_status("edge-1", "aisle"),
    TOPICS.slot_state("edge-1", "a1"),
    TOPICS.health("edge-1"),
]
WRITERS = {topic: {"edge-1"} for topic in OF_EDGE_1} | {
    TOPICS.ack("edge-1"): {"service"},
    TOPICS.task("t1"): {"service"},
    TOPICS.ranking: {"service"},
    TOPICS.task_command("t1"): {"staff"},
    Topics("other").events("edge-1"): set(),
    "shelfvision/v1/shop/edge-1/anything": set(),
    "elsewhere": set(),
    "$SYS/broker/x": set(),
}
READERS = {topic: {"edge-1", "service", "reader"} for topic in OF_EDGE_1} | {
    TOPICS.slot_state("edge-1", "a1"): {"edge-1", "service", "staff", "reader"},
    TOPICS.camera_status("edge-1", "aisle"): {"edge-1", "service", "staff", "reader"},
    TOPICS.device_status("edge-1"): {"edge-1", "service", "staff", "reader"},
    TOPICS.ack("edge-1"): {"edge-1", "service", "reader"},
    TOPICS.task("t1"): {"service", "staff", "reader"},
    TOPICS.ranking: {"service", "staff", "reader"},
    TOPICS.task_command("t1"): {"service", "reader"},
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is not installed")
    folder = tmp_path_factory.mktemp("certs")
    make = [str(FOLDER / "make-certificates"), str(folder)]
    subprocess.run([*make, "broker", "localhost", "127.0.0.1"], check=True, capture_output=True)
    for name in CLIENTS:
        subprocess.run([*make, "client", name], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def broker(certificates, tmp_path_factory):
    """The shipped configuration, with only folders, port and store id changed as the runbook says."""
    program = find_mosquitto()
    if program is None:
        pytest.skip("the program mosquitto is not installed; on Debian: apt-get install mosquitto")
    folder = tmp_path_factory.mktemp("broker")
    port = free_port()
    (folder / "acl").write_text((FOLDER / "acl").read_text().replace("STORE", "shop"))
    settings = (FOLDER / "mosquitto.conf").read_text()
    for old, new in {
        "/etc/mosquitto/certs": str(certificates),
        "/etc/mosquitto/acl": str(folder / "acl"),
        "/var/lib/mosquitto/": f"{folder}/",
        "listener 8883": f"listener {port} 127.0.0.1\nuser {getpass.getuser()}",
    }.items():
        assert old in settings
        settings = settings.replace(old, new)
    (folder / "mosquitto.conf").write_text(settings)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=log)
    try:
        assert wait_for_port(port, float("inf"), process), (folder / "log").read_text()
        yield port
        assert process.poll() is None, (folder / "log").read_text()
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def connect(broker, certificates):
    """Opens connections with a client's certificate."""
    opened = []

    def connect(name, **changes):
        section = {
            "url": f"mqtts://localhost:{broker}",
            "ca_file": certificates / "ca.crt",
            "cert_file": certificates / f"{name}.crt",
            "key_file": certificates / f"{name}.key",
        }
        wakeup = Wakeup()
        connection = Connection(BrokerSection.model_validate(section | changes), f"test-{name}", wakeup=wakeup)
        opened.append((connection, wakeup))
        connection.open()
        return connection

    yield connect
    for connection, wakeup in opened:
        connection.close()
        wakeup.close()


def publish(connection, topic, payload=b"x", *, retain=False):
    """The reason code of the broker's answer."""
    mid = connection.publish(topic, payload, retain=retain)
    while not connection.published:
        assert connection.lost is None, connection.lost
        connection.wait(1)
    answered, code = connection.published.popleft()
    assert answered == mid
    return code


@pytest.mark.parametrize("name", CLIENTS)
def test_each_client_writes_its_own_topics_and_no_other(connect, name):
    connection = connect(name)
    for topic, writers in WRITERS.items():
        allowed = publish(connection, topic) in {SUCCESS, NO_MATCHING_SUBSCRIBERS}
        assert allowed is (name in writers), f"{name} on {topic}"


@pytest.mark.parametrize("name", CLIENTS)
def test_each_client_reads_what_it_needs_and_no_more(connect, name):
    """Every topic holds a retained message from its writer; the client subscribes to everything."""
    for writer in ("edge-1", "service", "staff"):
        connection = connect(writer)
        for topic in READERS:
            if writer in WRITERS[topic]:
                publish(connection, topic, topic.encode(), retain=True)
        connection.close()
    connection = connect(name)
    connection.subscribe(["#"])
    expected = {topic for topic, readers in READERS.items() if name in readers}
    publish(connection, "no/such/topic")  # its answer comes after what the subscription brought
    seen = {message.payload.decode() for message in connection.received if message.retain}
    assert seen == expected


def test_without_a_certificate_of_the_store_nobody_gets_in(connect, tmp_path):
    with pytest.raises(BrokerError):
        connect("edge-1", cert_file=None, key_file=None)
    make = [str(FOLDER / "make-certificates"), str(tmp_path), "client", "edge-1"]
    subprocess.run(make, check=True, capture_output=True)
    with pytest.raises(BrokerError):
        connect("edge-1", cert_file=tmp_path / "edge-1.crt", key_file=tmp_path / "edge-1.key")


def test_a_broker_of_another_authority_is_not_trusted(connect, tmp_path):
    make = [str(FOLDER / "make-certificates"), str(tmp_path), "client", "edge-1"]
    subprocess.run(make, check=True, capture_output=True)
    with pytest.raises(BrokerError, match=r"certificate is not trusted.*broker\.ca_file"):
        connect("edge-1", ca_file=tmp_path / "ca.crt")


def test_keys_are_for_their_owner_only(certificates):
    for key in certificates.glob("*.key"):
        assert key.stat().st_mode & 0o077 == 0
    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    assert context.get_ca_certs()[0]["notAfter"]


@pytest.mark.parametrize("words", [["x"], ["x", "client"], ["x", "client", "a/b"], ["x", "nonsense", "a"]])
def test_make_certificates_explains_wrong_words(tmp_path, words):
    result = subprocess.run(
        [str(FOLDER / "make-certificates"), *words], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 2
    assert result.stderr
