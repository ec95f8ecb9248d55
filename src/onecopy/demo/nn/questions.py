"""What the demo's guests look for among the sentences."""

from __future__ import annotations

QUESTIONS: tuple[str, ...] = (
    "When does the boat go?",
    "Something broke right after we had released it.",
    "Why is loading so slow?",
    "Which animals were seen near the cars?",
    "My footwear is not waterproof.",
    "Where can I sit and work undisturbed?",
)
