/** @file The table of a model's tokens, as adapters see it. It knows no family. */
import type { EmbeddingSpec, Model } from "./model.ts";

/** The row that `pad_token_id` means, counted from either end as PyTorch does; none where there is no such row. */
const paddingRow = (id: unknown, rows: number): number | undefined => {
  if (!Number.isInteger(id)) return undefined;
  const row = (id as number) < 0 ? rows + (id as number) : (id as number);
  return row >= 0 && row < rows ? row : undefined;
};

/** The embedding of a model whose padding is not trained where it is read. */
export const tokenEmbedding = (
  module: string,
  { config, vocabularySize, hiddenSize }: Pick<Model, "config" | "vocabularySize" | "hiddenSize">,
): EmbeddingSpec => {
  const padding = paddingRow(config["pad_token_id"], vocabularySize);
  return { module, rows: vocabularySize, width: hiddenSize, isTokens: true, ...(padding !== undefined && { padding }) };
};
