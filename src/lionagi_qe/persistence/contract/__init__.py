"""What a backend fills: the types that an implementer needs, and nothing else.

``Memory(backend)`` does keys, values, limits, batching and time limits before it calls one; see
``examples/custom_backend`` and the suite in ``lionagi_qe.testing.conformance``.
"""

from lionagi_qe.persistence.contract.backend import MAX_BATCH_CALLS, Backend, Capabilities
from lionagi_qe.persistence.contract.change_log import ChangeLog, LogPage, LogRecord
from lionagi_qe.persistence.contract.indexes import (
    Document,
    Frequencies,
    IndexBackend,
    Match,
    Posting,
    Written,
)
from lionagi_qe.persistence.contract.job_batches import (
    BatchJobRecord,
    BatchRecord,
    InBatch,
    MakeBatch,
)
from lionagi_qe.persistence.contract.job_pages import ListedState
from lionagi_qe.persistence.contract.jobs import (
    CancelJob,
    Claim,
    ClaimedJob,
    EndJob,
    JobBackend,
    JobOperation,
    JobRecord,
    JobRecordPage,
    JobResult,
    ListedRecord,
    PutJob,
    QueueCounts,
    TransactionOperations,
    TransactionResults,
)
from lionagi_qe.persistence.contract.leases import LeaseBackend, Tenure
from lionagi_qe.persistence.contract.limits import JobLimit, LimitBackend
from lionagi_qe.persistence.contract.notifier import Notifier
from lionagi_qe.persistence.contract.operations import (
    Add,
    Delete,
    Fence,
    Learn,
    Learned,
    Operation,
    Put,
    Result,
    Touch,
)
from lionagi_qe.persistence.contract.records import (
    KeyPage,
    Page,
    PayloadPage,
    Record,
    Stats,
    Sweep,
)
from lionagi_qe.persistence.contract.refused import PartlyRefused
from lionagi_qe.persistence.contract.schedules import (
    Fire,
    PutSchedule,
    ScheduleBackend,
    ScheduleRecord,
    Schedules,
)
from lionagi_qe.persistence.contract.sealed_texts import (
    ResealableJobs,
    ResealableLeases,
    ResealableSchedules,
    TextExchange,
)
from lionagi_qe.persistence.values.keys import KeyRange

__all__ = [
    "MAX_BATCH_CALLS",
    "Add",
    "Backend",
    "BatchJobRecord",
    "BatchRecord",
    "CancelJob",
    "Capabilities",
    "ChangeLog",
    "Claim",
    "ClaimedJob",
    "Delete",
    "Document",
    "EndJob",
    "Fence",
    "Fire",
    "Frequencies",
    "InBatch",
    "IndexBackend",
    "JobBackend",
    "JobLimit",
    "JobOperation",
    "JobRecord",
    "JobRecordPage",
    "JobResult",
    "KeyPage",
    "KeyRange",
    "Learn",
    "Learned",
    "LeaseBackend",
    "LimitBackend",
    "ListedRecord",
    "ListedState",
    "LogPage",
    "LogRecord",
    "MakeBatch",
    "Match",
    "Notifier",
    "Operation",
    "Page",
    "PartlyRefused",
    "PayloadPage",
    "Posting",
    "Put",
    "PutJob",
    "PutSchedule",
    "QueueCounts",
    "Record",
    "ResealableJobs",
    "ResealableLeases",
    "ResealableSchedules",
    "Result",
    "ScheduleBackend",
    "ScheduleRecord",
    "Schedules",
    "Stats",
    "Sweep",
    "Tenure",
    "TextExchange",
    "Touch",
    "TransactionOperations",
    "TransactionResults",
    "Written",
]
