"""Agents: sandboxed functions that are called with events, and reach only what they are granted.

An agent is a WebAssembly component (wit/agent.wit) and a manifest (docs/agents.md).
"""
