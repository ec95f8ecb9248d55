// Types of the guest library. Errors of the host are thrown as the classes below; what a manifest
// does not grant throws NotGranted, and its message is the line that would grant it.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface AgentEvent {
  id: string;
  agent: string;
  trigger: "webhook" | "schedule" | "cli";
  kind: string;
  subject: string;
  /** What the manifest takes out of the payload; paths of grants are bound to them. */
  fields: Record<string, string>;
  payload: any;
  settings: Record<string, any>;
  attempt: number;
  /** Seconds since 1970. */
  received: number;
}

/** What an agent exports: `export const handle: Handler = (event) => …`. */
export type Handler = (event: AgentEvent) => Json | void;

export interface HttpOptions {
  query?: Record<string, string | number>;
  headers?: Record<string, string>;
  json?: unknown;
  body?: string;
}

export interface HttpResponse {
  status: number;
  ok: boolean;
  headers: [string, string][];
  text: string;
  header(name: string, otherwise?: string): string;
  json(): any;
}

export const http: {
  request(method: string, url: string, options?: HttpOptions): HttpResponse;
  get(url: string, options?: HttpOptions): HttpResponse;
  post(url: string, options?: HttpOptions): HttpResponse;
  patch(url: string, options?: HttpOptions): HttpResponse;
  put(url: string, options?: HttpOptions): HttpResponse;
  delete(url: string, options?: HttpOptions): HttpResponse;
};

export interface Message {
  role: "system" | "developer" | "user" | "assistant" | "tool";
  content?: string;
  [key: string]: unknown;
}

/** A function that a model may ask for; `parameters` is a JSON Schema. */
export interface Tool {
  name: string;
  description?: string;
  parameters?: object;
  run(given: any): unknown;
}

export interface ToolCall {
  id: string;
  name: string;
  /** null where they are no JSON object. */
  arguments: Record<string, any> | null;
  raw: string;
}

export interface Answer {
  text: string;
  toolCalls: ToolCall[];
  finish: string;
  inputTokens: number;
  outputTokens: number;
  tokens: number;
  /** As it is appended to the messages of the next call. */
  message: Message;
}

export interface ChatOptions {
  model?: string;
  system?: string;
  tools?: Tool[];
  /** Asks for JSON of that schema where the model can; check it nevertheless. */
  schema?: object;
  [option: string]: unknown;
}

export const llm: {
  chat(messages: string | Message[], options?: ChatOptions): Answer;
};

export interface Scope {
  get(key: string, otherwise?: any): any;
  set(key: string, value: Json): void;
  delete(key: string): void;
  keys(prefix?: string): string[];
}

export const kv: { agent: Scope; conversation: Scope };

export interface Hit {
  id: string;
  text: string;
  metadata: any;
  score: number;
}

export const memory: {
  add(collection: string, text: string, metadata?: Json): string;
  search(collection: string, query: string, count?: number): Hit[];
  forget(collection: string, id: string): void;
};

export const tools: {
  /** The tools that `[[grants.tools]]` gives this agent. */
  granted(): Tool[];
  call(name: string, given?: object): string;
};

export const entries: {
  names(prefix?: string): string[];
  describe(name: string): any;
  read(name: string): string;
};

export const log: {
  debug(message: unknown): void;
  info(message: unknown): void;
  warning(message: unknown): void;
  error(message: unknown): void;
  /** Begins a named part of the run. */
  step(name: string): void;
};

export function tool(
  name: string,
  description: string,
  parameters: object,
  run: (given: any) => unknown,
): Tool;

export interface Budget {
  steps?: number;
  tokens?: number;
  /** Characters of a tool's result. */
  result?: number;
}

export interface PlanResult {
  text: string;
  steps: {
    tool: string;
    arguments: Record<string, any> | null;
    result: string;
    failed: boolean;
  }[];
  tokens: number;
  messages: Message[];
}

export const plan: {
  act(goal: string, offered?: Tool[], budget?: Budget, options?: ChatOptions): PlanResult;
};

export class AgentError extends Error {}
export class NotGranted extends AgentError {}
export class Invalid extends AgentError {}
export class BudgetExceeded extends AgentError {}
export class Timeout extends AgentError {}
export class Unavailable extends AgentError {}
export class TooLarge extends AgentError {}
export class NotFound extends AgentError {}
export class Failed extends AgentError {}
/** Ends a run; the event comes again after `seconds`. */
export class Retry extends AgentError {
  constructor(seconds: number, why?: string);
  seconds: number;
}
/** Ends a run, and the event: another attempt would fail as this one did. */
export class GiveUp extends AgentError {}
