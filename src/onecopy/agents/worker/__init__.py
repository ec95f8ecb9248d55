"""Runs agents: components in closed-off processes, one process for each agent (docs/agents.md).

async with Workers("agent.wasm", name="echo") as workers:
    outcome = await workers.run('{"id": "1"}', host)
"""
