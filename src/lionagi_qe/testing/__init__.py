"""The test kit: real servers, a fault proxy, and the conformance suite for memory backends.

Nothing is imported here: the parts need different packages (``pip install
'aqe-fleet[testing]'``), and pytest loads the plugin of this package at every start.
"""
