/** @file Chooses the training view that suits where a command speaks. It knows nothing about training but its events. */
import type { CommandContext } from "../context.ts";
import { liveView, type TrainView } from "./live.ts";
import { lossHistory } from "./loss-history.ts";
import { plainView } from "./plain.ts";

/** The live view with a loss plot at its end on a terminal, plain lines elsewhere. */
export const trainView = (context: CommandContext): TrainView => {
  if (!context.isTerminal) return plainView(context.out);
  const view = liveView(context);
  const history = lossHistory();
  return {
    listen(event) {
      view.listen(event);
      history.listen(event);
      if (event.type !== "run-end") return;
      const drawing = history.plot({ width: Math.min(context.columns - 1, 100), height: 14, colour: context.colour });
      if (drawing !== "") view.say(`\n${drawing}\n`);
    },
    say: view.say,
    close: view.close,
  };
};
