import { describe, expect, it } from "vitest";
import { stripVTControlCharacters } from "node:util";
import { plot, type Series } from "./plot.ts";
import { visibleWidth } from "./width.ts";

const decay = (count: number): Series => ({
  label: "training loss",
  style: "line",
  points: Array.from({ length: count }, (_, index) => [index + 1, 2.7 + 2.3 * Math.exp(-index / 60)]),
});
const heldOut: Series = {
  label: "held-out loss",
  style: "marks",
  points: [0, 100, 200, 300].map((step) => [step, 2.75 + 2.25 * Math.exp(-step / 60)]),
};

describe("plot", () => {
  it("draws a loss curve with its evaluations", () => {
    expect(plot([decay(300), heldOut], { width: 60, height: 12, xLabel: "step" })).toBe(
      [
        "5.0 ┤●⡄",
        "4.5 ┤ ⠈⠢⡀",
        "    │   ⠉⢆",
        "4.0 ┤     ⠉⠢⡀",
        "    │       ⠈⠑⠤⡀",
        "3.5 ┤          ⠈⠑⠢⢄⡀",
        "    │              ⠈⠉⠒⠢●⣀⣀⡀",
        "3.0 ┤                     ⠈⠉⠉⠒⠒⠒⠢⠤⠤⠤⠤⢄⣀⣀⣀●⣀⣀⣀⣀⣀            ●",
        "2.5 ┤                                          ⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉",
        "    └┬────────┬────────┬────────┬────────┬────────┬────────┬",
        "     0       50       100      150      200      250     300",
        "     ⠒⠒ training loss   ● held-out loss                 step",
      ].join("\n"),
    );
  });

  it("draws a straight line from corner to corner", () => {
    expect(
      plot(
        [
          {
            label: "a",
            style: "line",
            points: [
              [0, 0],
              [10, 10],
            ],
          },
        ],
        { width: 16, height: 7 },
      ),
    ).toBe(["10 ┤         ⣀⠔⠊", "   │      ⣀⠔⠊", " 5 ┤   ⡠⠔⠉", " 0 ┤⡠⠔⠉", "   └┬──────────┬", "    0         10", "    ⠒⠒ a"].join("\n"));
  });

  it.each([
    [100, 30],
    [72, 16],
    [24, 7],
    [8, 4],
  ])("fits %i × %i", (width, height) => {
    const lines = plot([decay(300), heldOut], { width, height, xLabel: "step", colour: true }).split("\n");
    expect(lines.length).toBe(Math.max(5, height));
    const drawn = lines.slice(0, -1).map(visibleWidth);
    expect(Math.max(...drawn)).toBe(width);
  });

  it("leaves out what is not finite, and is empty without points", () => {
    const points = [
      [1, 2],
      [2, NaN],
      [3, Infinity],
      [4, 3],
    ] as const;
    const finite = [
      [1, 2],
      [4, 3],
    ] as const;
    const options = { width: 30, height: 8 };
    expect(plot([{ label: "a", style: "line", points }], options)).toBe(plot([{ label: "a", style: "line", points: finite }], options));
    expect(plot([{ label: "a", style: "line", points: [[1, NaN]] }], options)).toBe("");
    expect(plot([], options)).toBe("");
  });

  it.each<[string, [number, number][], string[]]>([
    [
      "large",
      [
        [0, 98],
        [1, 1234],
      ],
      ["1,500", "1,000", "500", "0"],
    ],
    [
      "small",
      [
        [0, 1e-4],
        [1, 1.3e-4],
      ],
      ["0.000130", "0.000125", "0.000120", "0.000115", "0.000110", "0.000105", "0.000100"],
    ],
    [
      "negative",
      [
        [0, -2],
        [1, 2],
      ],
      ["2", "1", "0", "-1", "-2"],
    ],
    [
      "equal",
      [
        [0, 3],
        [1, 3],
      ],
      ["4.5", "4.0", "3.5", "3.0", "2.5", "2.0", "1.5"],
    ],
  ])("labels %s figures roundly", (_, points, labels) => {
    const drawing = plot([{ label: "a", style: "line", points }], { width: 40, height: 11 });
    expect(drawing.split("\n").flatMap((line) => /^\s*(\S+) ┤/.exec(line)?.[1] ?? [])).toEqual(labels);
  });

  it("colours without changing the drawing", () => {
    const options = { width: 60, height: 12, xLabel: "step" };
    const coloured = plot([decay(300), heldOut], { ...options, colour: true });
    expect(coloured).toContain("\x1b[33m●\x1b[39m");
    expect(stripVTControlCharacters(coloured)).toBe(plot([decay(300), heldOut], options));
  });
});
