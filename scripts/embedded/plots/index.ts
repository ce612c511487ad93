/** @file Every plot, in one list. */
import { brave } from "./brave.ts";
import { bridge } from "./bridge.ts";
import { broken } from "./broken.ts";
import { cooking } from "./cooking.ts";
import { egg } from "./egg.ts";
import { garden } from "./garden.ts";
import { gift } from "./gift.ts";
import { hide } from "./hide.ts";
import { journey } from "./journey.ts";
import { kindness } from "./kindness.ts";
import { learn } from "./learn.ts";
import { letter } from "./letter.ts";
import { lost } from "./lost.ts";
import { moon } from "./moon.ts";
import { music } from "./music.ts";
import { mystery } from "./mystery.ts";
import { newcomer } from "./newcomer.ts";
import { night } from "./night.ts";
import { numbers } from "./numbers.ts";
import { pet } from "./pet.ts";
import type { Plot } from "./plot.ts";
import { race } from "./race.ts";
import { rescue } from "./rescue.ts";
import { share } from "./share.ts";
import { sick } from "./sick.ts";
import { stuck } from "./stuck.ts";
import { trade } from "./trade.ts";
import { treasure } from "./treasure.ts";
import { weather } from "./weather.ts";
import { winter } from "./winter.ts";
import { wish } from "./wish.ts";

export { type Plot, type Scene } from "./plot.ts";

/** Each plot under the topic by which a story can be asked for. */
export const plots: readonly { topic: string; plot: Plot }[] = [
  { topic: "somebody small and brave", plot: brave },
  { topic: "a narrow bridge", plot: bridge },
  { topic: "something broken", plot: broken },
  { topic: "cooking", plot: cooking },
  { topic: "an egg", plot: egg },
  { topic: "a garden", plot: garden },
  { topic: "a birthday present", plot: gift },
  { topic: "hide and seek", plot: hide },
  { topic: "a journey", plot: journey },
  { topic: "kindness", plot: kindness },
  { topic: "learning", plot: learn },
  { topic: "a letter", plot: letter },
  { topic: "something lost", plot: lost },
  { topic: "a mistake", plot: moon },
  { topic: "music", plot: music },
  { topic: "a thief", plot: mystery },
  { topic: "a new friend", plot: newcomer },
  { topic: "the night", plot: night },
  { topic: "a full basket", plot: numbers },
  { topic: "a lost animal", plot: pet },
  { topic: "a race", plot: race },
  { topic: "a rescue", plot: rescue },
  { topic: "sharing", plot: share },
  { topic: "a sick friend", plot: sick },
  { topic: "a toy out of reach", plot: stuck },
  { topic: "a trade", plot: trade },
  { topic: "a treasure", plot: treasure },
  { topic: "the weather", plot: weather },
  { topic: "a long winter", plot: winter },
  { topic: "a wish", plot: wish },
];
