"""Other frameworks' homes on the shared memory; each module needs its extra.

``lionagi_qe.integrations.lionagi`` needs ``aqe-fleet[lionagi]``, ``.langgraph`` needs
``[langgraph]``, ``.mcp`` needs ``[mcp]``.
"""
