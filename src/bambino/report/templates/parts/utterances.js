for (const part of document.querySelectorAll(".utterances")) {
  const { ages, levels, speakers, prompts } = JSON.parse(part.querySelector("script").textContent);
  const slider = part.querySelector("[type=range]"), output = part.querySelector("output");
  const seed = part.querySelector("select"), numbers = part.querySelector("[type=checkbox]");
  const cards = [...part.querySelectorAll("article")], count = (number) => number.toLocaleString("en");

  const element = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const word = (text, bits) => {
    const said = text.trimStart(), space = text.slice(0, text.length - said.length);
    if (bits === null) return [text];
    const level = levels.filter((least) => bits >= least).length, shown = bits.toFixed(1);
    return [space, element("span", { class: `w s${level}`, title: `${shown} bits`, "data-bits": shown }, said)];
  };
  const line = ([number, ...said]) => {
    const [prompt, lang] = prompts[number], words = [];
    for (let i = 0; i < said.length; i += 2) words.push(...word(said[i], said[i + 1]));
    if (!words.length) words.push(element("i", { lang: "en" }, " (silence)"));
    return element("li", { dir: "auto", lang }, element("span", { class: "prompt" }, prompt), ...words);
  };
  const told = (age) => `after ${count(age.step)} steps` + (age.heard === null ? "" : `, ${count(age.heard)} words heard`);

  const show = () => {
    const step = ages[slider.value], chosen = seed ? seed.value : Object.keys(speakers[0])[0];
    const here = speakers.map((runs) => (runs[chosen] ?? []).findLast((age) => age.step <= step));
    cards.forEach((card, i) => {
      const missing = speakers[i][chosen] ? "not measured yet" : "no run with this seed";
      card.querySelector("p").textContent = here[i] ? told(here[i]) : missing;
      card.querySelector("ul").replaceChildren(...(here[i]?.said.map(line) ?? []));
    });
    const heard = here.filter((age) => age && age.heard !== null).map((age) => age.heard);
    const [least, most] = [Math.min(...heard), Math.max(...heard)];
    const words = heard.length ? `, ${least < most ? `${count(least)} to ` : ""}${count(most)} words heard` : "";
    output.textContent = `after ${count(step)} of ${count(ages.at(-1))} steps${words}`;
    slider.setAttribute("aria-valuetext", output.textContent);
  };
  const keep = () => {
    const step = slider.value < ages.length - 1 ? ages[slider.value].step : Infinity;
    history.replaceState({ step, seed: seed?.value }, "");
  };
  const goOn = ({ step, seed: chosen }) => {
    slider.value = ages.findLastIndex((age) => age.step <= step);
    if (seed && speakers.some((runs) => chosen in runs)) seed.value = chosen;
  };
  for (const control of [slider, seed]) control?.addEventListener("input", () => { show(); keep(); });
  if (history.state) goOn(history.state);
  numbers?.addEventListener("change", () => part.classList.toggle("numbers", numbers.checked));
  part.querySelector(".age").hidden = false;
  show();
}
