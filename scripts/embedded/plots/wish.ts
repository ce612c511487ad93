/** @file Plot: a wish comes true too well and has to be taken back. */
import { fineDay, type Plot } from "./plot.ts";

export const wish: Plot = ({ tell, hero, elder }) => {
  const giver = tell.pick(["a golden fish", "a tiny fairy", "a falling star", "an old woman with a stick", "a talking stone"]);
  const the = giver.replace(/^an? /, "the ");
  const wishes = [
    [
      "that everything tastes like cake",
      "the bread tasted like cake, and the soup too",
      "even the water tasted like cake, and soon it made HIM sick",
      "Too much of a good thing is not good",
    ],
    [
      "to be as tall as a tree",
      "HE could look into every nest",
      "HE did not fit into the house and had to sleep in the rain",
      "I was just the right size",
    ],
    [
      "that it is always summer",
      "it was warm every day",
      "there was no rain, and all the flowers were thirsty",
      "Every season is good for something",
    ],
    ["that nobody can see me", "HE played tricks on everybody", "nobody played with HIM or said good night", "It is good to be seen"],
    ["to fly like a bird", "HE flew over the roofs", "the wind carried HIM far away from home", "My feet are good enough for me"],
    [
      "to have no work to do",
      "HE lay in bed until noon",
      "the days were long and empty, and HE was bored",
      "A little work is good for the heart",
    ],
    [
      "that everything I touch sings",
      "the cup sang, and the door sang",
      "the pillow sang all night, and HE could not sleep",
      "Silence is a gift too",
    ],
  ] as const;
  const [wished, joy, trouble, lesson] = tell.pick(
    wishes.filter(([wished]) => hero.animal?.help !== "fly" || wished !== "to fly like a bird"),
  );
  const fill = (text: string): string => text.replaceAll("HIM", hero.him).replaceAll("HE", hero.he);
  return [
    `${fineDay}, ${hero.name} met ${giver}. "You have a good heart. You may make one wish," said ${the}. "I wish ${wished}!" said ${hero.name} (at once|and did not think twice|quickly).`,
    `And so it was. At first it was wonderful: ${fill(joy)}. "${tell.pick(["This is the best day of my life", "Now I will always be happy", "What a clever wish"])}!" said ${hero.name}.`,
    `But soon there was trouble, for ${fill(trouble)}. ${hero.Name} went to ${elder.name} and cried. "${tell.pick(["Think before you wish", "Some wishes are too big", "Go back and ask again"])}," said ${elder.name}.`,
    `So ${hero.name} ran back to ${the}. "Please take the wish away," ${hero.he} said. "${lesson}." ${the.replace("the", "The")} laughed, and everything was as before. ${tell.pick([`${hero.Name} had never been so glad to go home.`, `And ${hero.name} was happy with things as they were.`])}`,
  ];
};
