"""The contract of jobs that come after others, beside that of queues.

A job put with ``after`` is "waiting" until all of those are done; then it is ready, or delayed if
its delay hasn't ended. Its dependencies never change and name jobs that are there already, so that
there are no circles. The step that acknowledges a job stores its result with each job that comes
after it, and frees those that have all. Where one can't be done any more, neither can what comes
after it: that is dead with it, or cancelled with it and kept as long as it, its error naming it;
and so is what comes after that.

All of this happens in the step that ends the job, for the first ``MOST_FALLEN`` jobs that fall so.
The rest, if there are more, is noted and falls with claims of the queue that follow, as many with
each, at the latest with those that find less than they ask for: nobody claims it meanwhile, since
what it waits for is never done.
"""

from __future__ import annotations

# Of one job: what it comes after.
MAX_AFTER = 100
# How many jobs fall with another in one step.
MOST_FALLEN = 1_000
