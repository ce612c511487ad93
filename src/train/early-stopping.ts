/** @file Keeps the best held-out loss and says when it has stopped falling. It knows nothing about how the loss was measured. */

export interface EarlyStoppingRules {
  /** Evaluations in a row without an improvement that end the run; Infinity never ends it. */
  readonly patience: number;
  /** How far the loss must fall below the last improvement to count as another, default 0. */
  readonly minimumImprovement?: number;
}

/** What the evaluations so far have shown; plain JSON, so that a checkpoint can hold it. */
export interface EvaluationHistory {
  /** The lowest loss and its step. */
  readonly best?: { readonly step: number; readonly loss: number };
  /** The loss that the next one is compared with. */
  readonly reference?: number;
  /** Evaluations since the reference was set. */
  readonly stale: number;
}

/** The history before the first evaluation. */
export const noEvaluations: EvaluationHistory = { stale: 0 };

/**
 * Adds an evaluation to the history. Any lower loss is the best; only one lower by `minimumImprovement` renews the
 * patience, so that many small gains count once they add up. A loss that is not a number is never an improvement.
 */
export const observeEvaluation = (
  history: EvaluationHistory,
  { step, loss }: { step: number; loss: number },
  { patience, minimumImprovement = 0 }: EarlyStoppingRules,
): { readonly history: EvaluationHistory; readonly isBest: boolean; readonly shouldStop: boolean } => {
  const isBest = loss < (history.best?.loss ?? Infinity);
  const improved = loss < (history.reference ?? Infinity) - minimumImprovement;
  const stale = improved ? 0 : history.stale + 1;
  const reference = improved ? loss : history.reference;
  const best = isBest ? { step, loss } : history.best;
  return {
    history: { ...(best !== undefined && { best }), ...(reference !== undefined && { reference }), stale },
    isBest,
    shouldStop: stale >= patience,
  };
};
