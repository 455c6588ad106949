"""The agents: each measures one side of a project with a named tool, or says why it could not."""
