// What the host answers when it does not do what was asked, as exceptions.

export class AgentError extends Error {
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

export class NotGranted extends AgentError {}
export class Invalid extends AgentError {}
export class BudgetExceeded extends AgentError {}
export class Timeout extends AgentError {}
export class Unavailable extends AgentError {}
export class TooLarge extends AgentError {}
export class NotFound extends AgentError {}
export class Failed extends AgentError {}

// Ends a run; the event comes again after `seconds`.
export class Retry extends AgentError {
  constructor(seconds, why = "asked to wait") {
    super(why);
    this.seconds = seconds;
  }
}

// Ends a run, and the event: another attempt would fail as this one did.
export class GiveUp extends AgentError {}

const KINDS = {
  "not-granted": NotGranted,
  invalid: Invalid,
  budget: BudgetExceeded,
  timeout: Timeout,
  unavailable: Unavailable,
  "too-large": TooLarge,
  "not-found": NotFound,
};

// The bindings throw the record `error` of the WIT, bare or with its payload in `payload`.
export function translated(call) {
  try {
    return call();
  } catch (thrown) {
    const error = thrown?.payload ?? thrown;
    if (typeof error?.code !== "string" || error instanceof Error) throw thrown;
    throw new (KINDS[error.code] ?? Failed)(error.message);
  }
}
