"""A Kafka and a Redis as a company runs them: TLS, users, passwords and certificates."""

from __future__ import annotations

import secrets
import subprocess
from contextlib import ExitStack
from pathlib import Path

import redis
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from freshet.core.settings import Settings
from freshet.embedded.child import Child
from freshet.embedded.kafka import KafkaBroker
from freshet.embedded.kafka_layout import FIRST_PORT, HOST, LAST_PORT, plan_layout
from freshet.embedded.redis import find_redis_server

USER, PASSWORD, KEY_PASSWORD = "freshet", "s3cretPW", "k3yPW"
_LISTENERS = ("SASL_SSL", "SSL", "SASL_PLAINTEXT")
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


class Certificates:
    """An authority, and what it signed for the services and for a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out",
                      "ca.pem", "-subj", "/CN=authority", "-days", "30", "-addext",
                      "basicConstraints=critical,CA:TRUE")  # fmt: skip
        (folder / "names").write_text(f"subjectAltName=DNS:localhost,IP:{HOST}\n")
        self._sign("server", "-nodes")
        self._sign("client", "-passout", f"pass:{KEY_PASSWORD}")
        both = (folder / "server.key").read_text() + (folder / "server.pem").read_text()
        (folder / "keystore.pem").write_text(both)

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)

    def _sign(self, name: str, *key: str) -> None:
        self._openssl("req", "-newkey", "rsa:2048", *key, "-keyout", f"{name}.key", "-out",
                      f"{name}.csr", "-subj", f"/CN={name}")  # fmt: skip
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                      "-CAcreateserial", "-days", "30", "-extfile", "names", "-out",
                      f"{name}.pem")  # fmt: skip

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


class Company:
    """Both services, with a port for each protocol of Kafka; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.certificates = Certificates(folder)
        self._folder = folder
        first = secrets.choice(range(FIRST_PORT, LAST_PORT - 10))
        self.ports = {name: first + number for number, name in enumerate(_LISTENERS)}
        self._redis_port = first + len(_LISTENERS)
        self._stack = ExitStack()

    def __enter__(self) -> Company:
        layout = plan_layout(self._folder / "kafka", 1)
        own = layout.properties(1, self._folder)["listeners"]
        broker = KafkaBroker(
            folder=self._folder / "kafka", layout=layout, properties=self._properties(own)
        )
        self._stack.enter_context(broker)
        self.plain_port = layout.nodes[0].port
        self._add_scram_users(broker.bootstrap)
        self._start_redis()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def redis_url(self) -> str:
        """Of the one user."""
        return f"rediss://{USER}:{PASSWORD}@{HOST}:{self._redis_port}/0"

    def settings(self, protocol: str = "SASL_SSL", **changes: object) -> Settings:
        """Settings that are right for a protocol, but for the changes."""
        found: dict[str, object] = {
            "namespace": "secured",
            "kafka_bootstrap": f"{HOST}:{self.ports[protocol]}",
            "kafka_security_protocol": protocol,
            "redis_url": self.redis_url,
            "redis_ssl_ca_location": self.certificates["ca.pem"],
            "redis_ssl_certificate_location": self.certificates["client.pem"],
            "redis_ssl_key_location": self.certificates["client.key"],
            "redis_ssl_key_password": KEY_PASSWORD,
            "http_port": 0,
            "partitions": 2,
        }
        if protocol.startswith("SASL"):
            found |= {"kafka_sasl_mechanism": "SCRAM-SHA-512", "kafka_sasl_username": USER,
                      "kafka_sasl_password": PASSWORD}  # fmt: skip
        if protocol.endswith("SSL"):
            found |= {"kafka_ssl_ca_location": self.certificates["ca.pem"]}
        if protocol == "SSL":
            found |= {"kafka_ssl_certificate_location": self.certificates["client.pem"],
                      "kafka_ssl_key_location": self.certificates["client.key"],
                      "kafka_ssl_key_password": KEY_PASSWORD}  # fmt: skip
        return Settings(**{**found, **changes})  # type: ignore[arg-type]

    def _properties(self, own: str) -> dict[str, str]:
        listeners = [f"{name}://{HOST}:{port}" for name, port in self.ports.items()]
        names = ("CONTROLLER:PLAINTEXT", "PLAINTEXT:PLAINTEXT", *(f"{n}:{n}" for n in _LISTENERS))
        login = {}
        for name in ("sasl_ssl", "sasl_plaintext"):
            login[f"listener.name.{name}.plain.sasl.jaas.config"] = (
                f'{_PLAIN} required user_{USER}="{PASSWORD}";'
            )
            for size in (256, 512):
                login[f"listener.name.{name}.scram-sha-{size}.sasl.jaas.config"] = (
                    f"{_SCRAM} required;"
                )
        return login | {
            "listeners": ",".join([own, *listeners]),
            "listener.security.protocol.map": ",".join(names),
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.certificates["keystore.pem"],
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.certificates["ca.pem"],
            "listener.name.ssl.ssl.client.auth": "required",
        }

    def _add_scram_users(self, bootstrap: str) -> None:
        admin = AdminClient({"bootstrap.servers": bootstrap})
        added = [
            UserScramCredentialUpsertion(
                USER, ScramCredentialInfo(mechanism, 4096), PASSWORD.encode()
            )
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
        ]
        for one in added:
            for future in admin.alter_user_scram_credentials([one]).values():
                future.result()

    def _start_redis(self) -> None:
        file = self._folder / "redis.conf"
        file.write_text(
            f'port 0\ntls-port {self._redis_port}\nbind {HOST}\nsave ""\ndir {self._folder}\n'
            f"tls-cert-file {self.certificates['server.pem']}\n"
            f"tls-key-file {self.certificates['server.key']}\n"
            f"tls-ca-cert-file {self.certificates['ca.pem']}\ntls-auth-clients yes\n"
            f"user default off\nuser {USER} on >{PASSWORD} ~* &* +@all\n"
        )
        child = Child("redis", [find_redis_server(), str(file)], log=self._folder / "redis.log")
        self._stack.callback(child.stop)
        child.wait_until_ready(self._redis_answers, 30.0)

    def _redis_answers(self) -> bool:
        with redis.Redis.from_url(
            self.redis_url,
            ssl_ca_certs=self.certificates["ca.pem"],
            ssl_certfile=self.certificates["client.pem"],
            ssl_keyfile=self.certificates["client.key"],
            ssl_password=KEY_PASSWORD,
        ) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False
