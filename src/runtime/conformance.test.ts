/** @file The backends of this folder, held against what every backend promises. */
import { describeBackend } from "../../test/backend-conformance.ts";
import { describeOps } from "../../test/op-conformance.ts";
import { ortBackend, referenceBackend } from "./index.ts";

const backends = [
  ["the reference", referenceBackend],
  ["ONNX Runtime", () => ortBackend({ threads: 1 })],
] as const;

for (const [name, create] of backends) {
  describeOps(name, create);
  describeBackend(name, create);
}
