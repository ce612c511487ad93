/** @file A classifier's mistakes as a table: for each class how often it was taken for which, precision, recall and F1. It knows nothing about models. */
import { confusionOf, f1 } from "../../evaluate/index.ts";
import { formatCount } from "../ui/format.ts";
import { fittedTable, type FittedColumn, type TableContext } from "./fitted-table.ts";

// Wider matrices are no help to the eye.
const mostColumns = 12;

/** A row for each class; the columns under the classes' names count the texts that were taken for them. */
export const classTable = (labels: readonly string[], cells: readonly number[], context: TableContext): string => {
  const confusion = confusionOf(cells);
  const taken = labels.length <= mostColumns ? labels : [];
  const columns: FittedColumn[] = [
    { title: "class" },
    ...["texts", "precision", "recall", "F1"].map((title): FittedColumn => ({ title, align: "right" })),
    ...taken.map((label): FittedColumn => ({ title: `→ ${label}`, align: "right", optional: true })),
  ];
  const rows = f1(confusion).map(({ support, precision, recall, f1: score }, index) => [
    labels[index],
    formatCount(support),
    ...[precision, recall, score].map((share) => share.toFixed(3)),
    ...taken.map((_, column) => formatCount(confusion[index][column])),
  ]);
  return fittedTable(columns, rows, context);
};
