"""Names of attributes and metrics: OpenTelemetry's semantic conventions, and ours below ``aqe.``.

No attribute has a key, a value, a payload or the text of an error: those may hold anything.
"""

from __future__ import annotations

from typing import Final, Literal

# How the span of a handler refers to that of the put; see Telemetry.
JobTraces = Literal["link", "parent"]

# https://opentelemetry.io/docs/specs/semconv/db/ (stable)
DB_SYSTEM: Final = "db.system.name"
DB_OPERATION: Final = "db.operation.name"
DB_BATCH_SIZE: Final = "db.operation.batch.size"
DB_DURATION: Final = "db.client.operation.duration"
ERROR_TYPE: Final = "error.type"

# https://opentelemetry.io/docs/specs/semconv/messaging/ (in development)
MESSAGING_SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
MESSAGE_ID: Final = "messaging.message.id"
MESSAGE_COUNT: Final = "messaging.batch.message_count"
MESSAGING_DURATION: Final = "messaging.client.operation.duration"
SENT: Final = "messaging.client.sent.messages"
CONSUMED: Final = "messaging.client.consumed.messages"
PROCESS_DURATION: Final = "messaging.process.duration"

# Ours.
SYSTEM: Final = "aqe"
FLEET: Final = "aqe.fleet"
ATTEMPT: Final = "messaging.aqe.job.attempt"
FIRED: Final = "aqe.schedule.fired"
LEASE: Final = "aqe.lease.name"
LEASE_FENCE: Final = "aqe.lease.fence"
LEASE_ACQUIRED: Final = "aqe.lease.acquired"
BATCH_SIZE: Final = "aqe.batch.size"
LEASE_WAIT: Final = "aqe.lease.wait.duration"
LEASE_HOLD: Final = "aqe.lease.hold.duration"
LEASES_LOST: Final = "aqe.lease.lost"
MEMBER: Final = "aqe.presence.key"
RUN: Final = "aqe.run.id"
RUN_DURATION: Final = "aqe.run.duration"
AGENT: Final = "aqe.agent.name"
AGENT_MEASURED: Final = "aqe.agent.measured"
AGENT_DURATION: Final = "aqe.agent.duration"
