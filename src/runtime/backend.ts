/** @file What a backend promises: compile a program, run it, keep tensors between runs. It knows nothing about ONNX Runtime or about models. */
import type { Graph } from "../graph/index.ts";
import type { DType, HostTensor } from "../util/index.ts";

/** A tensor that stays with the backend between runs (weights, key/value caches); feed it like any other. */
export interface Resident {
  readonly id: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

export type Feed = HostTensor | Resident;

/** Copies an output's rows into a resident tensor instead of returning them. */
export interface Store {
  readonly output: string;
  readonly into: Resident;
  /** Both tensors agree in every axis but this one, and the leading one where `row` says so. */
  readonly axis: number;
  /** The output's first row goes into this row of the resident, the next one behind it; default 0, for as many rows as there are. */
  readonly row?: number;
  /** First index along `axis` for each entry of the leading axis (one per batch row). */
  readonly offsets: readonly number[];
}

export interface RunOptions {
  /** Outputs that stay with the backend; they come back as `Resident`. */
  readonly keep?: readonly string[];
  readonly store?: readonly Store[];
  /** Host tensors among the feeds whose memory moves to the backend instead of being copied; it comes back beside the outputs, under the feed's name. */
  readonly lend?: readonly string[];
  /** Memory for outputs, of their very types, by name: it moves to the backend and comes back as the output. */
  readonly into?: Readonly<Record<string, HostTensor>>;
}

/** A compiled program. */
export interface Executable {
  /**
   * Runs it; outputs that were neither kept nor stored come back as host tensors that belong to the caller. Runs are executed in the
   * order of their calls. Throws `invalid-argument`, before anything runs or is written, for what does not fit the program.
   */
  run(feeds: Readonly<Record<string, Feed>>, options?: RunOptions): Promise<Record<string, Feed>>;
  dispose(): Promise<void>;
}

export interface CompileOptions {
  /**
   * Whether the runtime rewrites the program before it runs, default yes. In a training step it finds next to nothing, because gradients read
   * what it would fuse, and looks for it for longer than all else takes.
   */
  readonly rewrites?: boolean;
}

/** Every error is a `LowrankError`: `invalid-argument` for wrong use, `backend-failed` or `out-of-memory` for what the runtime refuses. */
export interface Backend {
  readonly name: string;
  compile(graph: Graph, options?: CompileOptions): Promise<Executable>;
  upload(tensor: HostTensor): Promise<Resident>;
  /** A float32 tensor of zeros, which takes memory as it is written to. */
  allocate(shape: readonly number[]): Promise<Resident>;
  /** Copies a tensor over one entry of the leading axis of another. */
  write(into: Resident, row: number, tensor: HostTensor): Promise<void>;
  /** Copies one tensor over the beginning of another that is at least as large along an axis and the leading one, and equal along all others. */
  copy(from: Resident, into: Resident, axis: number): Promise<void>;
  /** A copy. */
  download(resident: Resident): Promise<HostTensor>;
  /** Frees a tensor; a second release does nothing. */
  release(resident: Resident): Promise<void>;
  /**
   * Frees everything; a backend that is disposed leaves no timer and no thread behind (WebGPU's one thread stays, idle, and keeps no process
   * alive), rejects what waits, and takes no more calls.
   */
  dispose(): Promise<void>;
}
