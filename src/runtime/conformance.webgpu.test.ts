/** @file The WebGPU device of ONNX Runtime, held against what every backend promises. */
import { describeBackend } from "../../test/backend-conformance.ts";
import { describeOps } from "../../test/op-conformance.ts";
import { ortBackend } from "./index.ts";

const create = () => ortBackend({ device: "webgpu", threads: 1 });

describeOps("WebGPU", create, { unrounded: true });
describeBackend("WebGPU", create, {
  "rejects with a typed error when a run fails, and runs on": "a shader reads zeros behind the end of a tensor instead of failing",
});
