{
  const axis = { labelColor: "currentColor", titleColor: "currentColor", gridColor: "var(--line)", domainColor: "var(--soft)",
    tickColor: "var(--soft)", labelFontSize: 11, titleFontSize: 11, titleFontWeight: "normal", labelLimit: 160, labelOverlap: true };
  const config = { font: "system-ui, sans-serif", background: "transparent", view: { stroke: null }, axis,
    text: { color: "currentColor" }, legend: { labelColor: "currentColor", titleColor: "currentColor" } };
  const draw = (figure) => {
    const place = figure.querySelector(".chart"), spec = JSON.parse(figure.querySelector("script").textContent);
    const chosen = figure.closest(".charts").previousElementSibling?.querySelector?.("input:checked");
    const along = spec.params?.find((one) => one.name === "along");
    if (chosen && along) {
      along.value = chosen.value;
      for (const layer of spec.layer) if (layer.encoding.x) layer.encoding.x.title = chosen.dataset.title;
    }
    if (along && !["step", "cycle"].includes(along.value)) spec.layer = spec.layer.filter((layer) => layer.data?.name !== "blocks");
    return vegaEmbed(place, spec, { renderer: "svg", actions: false, ast: true, config });
  };
  const figures = [...document.querySelectorAll("figure")].filter((one) => one.querySelector(".chart"));
  const isHidden = (figure) => figure.closest("details:not([open])");
  const drawNext = async () => {
    for (const figure of figures) if (!isHidden(figure)) { await draw(figure); await new Promise((done) => setTimeout(done)); }
    document.documentElement.dataset.drawn = "true";
  };
  for (const details of document.querySelectorAll("details"))
    details.addEventListener("toggle", () => { if (details.open) details.querySelectorAll("figure").forEach(draw); });
  for (const input of document.querySelectorAll(".along input"))
    input.addEventListener("change", () => input.closest(".along").nextElementSibling.querySelectorAll("figure").forEach(draw));
  drawNext();
}
