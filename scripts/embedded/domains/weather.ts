/** @file Domain: a day's weather in sentences becomes a report in telegraph style. */
import { describeWeather, weatherScene } from "../scenes.ts";
import type { Domain } from "./domain.ts";

export const weather: Domain = {
  name: "weather",
  purpose: "turns a description of the weather into a report in telegraph style",
  rows: { train: 200, valid: 40 },
  write: (tell) => {
    const scene = weatherScene(tell);
    const { place, time, air, sky, wind, advice } = scene;
    const report = [
      `${place}, ${time}: ${air}, ${sky}`,
      wind ? `wind: ${wind.strength}, ${wind.from}` : "wind: none",
      `take: ${advice.length === 0 ? "nothing" : advice.includes("stay inside") ? "no walk" : advice.join(", ")}`,
    ];
    return { prompt: describeWeather(tell, scene), completion: `\n${report.join("; ")}.` };
  },
};
