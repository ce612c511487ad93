/** @file A terminal in memory, for tests: it understands the few codes that the views write. */

export interface Screen {
  write(text: string): void;
  columns: number;
  readonly colour: false;
  /** The lines on the screen, without spaces at their ends and without empty lines below. */
  lines(): string[];
  readonly isCursorShown: boolean;
}

/** A screen that wraps at `columns`; narrowing it afterwards does not fold what stands there. */
export const screen = (columns: number): Screen => {
  const rows: string[][] = [[]];
  let row = 0;
  let column = 0;
  let isCursorShown = true;
  const down = (): void => {
    row += 1;
    rows[row] ??= [];
  };
  const self: Screen = {
    columns,
    colour: false,
    get isCursorShown() {
      return isCursorShown;
    },
    write(text) {
      // eslint-disable-next-line no-control-regex -- terminal codes begin with the escape character
      for (const [, code, character] of text.matchAll(/\x1b\[([?\d]*[A-Za-z])|([^])/gu)) {
        if (code?.endsWith("A")) row = Math.max(0, row - Number(code.slice(0, -1)));
        else if (code === "J") {
          rows.length = row + 1;
          rows[row].length = column;
        } else if (code === "K") rows[row].length = column;
        else if (code === "?25l" || code === "?25h") isCursorShown = code === "?25h";
        else if (code !== undefined) throw new Error(`The screen does not know the code ${code}.`);
        else if (character === "\r") column = 0;
        else if (character === "\n") {
          down();
          column = 0;
        } else {
          if (column === self.columns) {
            down();
            column = 0;
          }
          rows[row][column++] = character;
        }
      }
    },
    lines() {
      const shown = rows.map((cells) =>
        Array.from(cells, (cell) => cell ?? " ")
          .join("")
          .trimEnd(),
      );
      while (shown.at(-1) === "") shown.pop();
      return shown;
    },
  };
  return self;
};
