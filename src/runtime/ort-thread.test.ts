import { EventEmitter } from "node:events";
import type { Worker } from "node:worker_threads";
import { expect, it, vi } from "vitest";
import type { Call } from "./ort-worker.ts";
import { startEngine } from "./ort-thread.ts";
import { startWorker } from "./start-worker.ts";

vi.mock("./start-worker.ts");

const fakeWorker = () => {
  const calls: Call[] = [];
  const worker = Object.assign(new EventEmitter(), {
    ref: vi.fn(),
    unref: vi.fn(),
    postMessage: (call: Call) => void calls.push(call),
    terminate: vi.fn(() => Promise.resolve(0)),
  });
  vi.mocked(startWorker).mockReturnValue(worker as unknown as Worker);
  return { worker, calls };
};

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it("a thread is not terminated before it has loaded the runtime and is done with its calls", async () => {
  const { worker, calls } = fakeWorker();
  const { call, end } = startEngine({ device: "cpu", threads: 1 });
  const download = call("download", { id: 1, dtype: "f32", shape: [1] });
  const ended = end();
  await expect(download).rejects.toMatchObject({ code: "backend-failed", message: "The backend has been disposed." });
  await settled();
  expect(worker.terminate).not.toHaveBeenCalled();
  expect(calls.map(({ method }) => method)).toEqual(["download", "dispose"]);
  worker.emit("message", { id: calls[1].id, value: undefined });
  await ended;
  expect(worker.terminate).toHaveBeenCalledOnce();
});

it("a thread that has failed is ended all the same", async () => {
  const { worker } = fakeWorker();
  const { end } = startEngine({ device: "cpu", threads: 1 });
  worker.emit("error", new Error("no addon"));
  await end();
  expect(worker.terminate).toHaveBeenCalledOnce();
});
