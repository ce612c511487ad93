/** @file One training example: token ids and which of them are learnt. It knows nothing about texts. */

export interface Example {
  readonly ids: Int32Array;
  /** 1 where the token is a label, predicted from what precedes it; never at position 0. */
  readonly supervised: Uint8Array;
  /** The row it comes from, such as `train.jsonl:17`. */
  readonly where: string;
}

/** Number of supervised tokens. */
export const supervisedCount = ({ supervised }: Pick<Example, "supervised">): number => supervised.reduce((sum, flag) => sum + flag, 0);

/** The first `maxLength` tokens; the same example where it has no more. */
export const truncate = (example: Example, maxLength: number): Example =>
  example.ids.length <= maxLength
    ? example
    : { ...example, ids: example.ids.slice(0, maxLength), supervised: example.supervised.slice(0, maxLength) };
