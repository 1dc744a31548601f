// What a step has beside its maps: what crosses, the mask of dropout, the sum of fc8, the views.

async function panel(step, state) {
  const about = pictures[state.picture];
  if (step.kind === "image") return imagePanel(about);
  if (step.kind.endsWith("_crosses")) return crossingPanel(step, state);
  if (step.kind === "dropout") return dropoutPanel(step, state);
  if (step.kind === "sum") return sumPanel(about, step);
  if (step.kind === "views") return viewsPanel(about);
  return undefined;
}

// A picture's square as <img>; the data cannot be anything but a JPEG.
const jpeg = ({ jpeg: data, file }) => h("img", { src: `data:image/jpeg;base64,${data}`, alt: file });

async function viewCanvas(about, [top, left, mirrored]) {
  const image = jpeg(about), canvas = canvasOf(net.size, net.size, about.file), context = canvas.getContext("2d");
  await image.decode();
  if (mirrored) context.setTransform(-1, 0, 0, 1, net.size, 0);
  context.drawImage(image, -left, -top);
  return canvas;
}

async function imagePanel(about) {
  return [h("h2", {}, "The central view"), h("div", { class: "large" }, await viewCanvas(about, net.views[2])),
    h("p", { class: "remark" }, h("bdi", {}, about.file), `, ${net.size} × ${net.size} pixels. Every step below is of this view.`)];
}

async function crossingPanel(step, state) {
  const layer = layerOf(step.layer), [weights, seen] = await Promise.all([weightShares(step.layer), pictureShares(state.picture, step.layer)]);
  const mean = ({ values }) => values.reduce((sum, x) => sum + x, 0) / values.length;
  const at = state.column * weights.shape[1] + state.channel;
  const count = (values) => {
    const counts = Array(20).fill(0);
    values.forEach((x) => counts[Math.min(19, Math.floor(20 * x))]++);
    return counts;
  };
  const [ofWeights, ofPicture] = [count(weights.values), count(seen.values)];
  return [h("h2", {}, "What crosses here"),
    h("p", {}, `Each column gets ${layer.received.toLocaleString("en")} values of a picture from the other one: ${bytes(layer.bytes)}. That is half of what its units read.`),
    h("p", {}, `Of the energy that a unit reads, the other column has on average ${percent(mean(weights))} by the weights alone (w²) and ${percent(mean(seen))} on this picture (w²x²).`),
    bars(ofWeights.map((value, k) => ({ label: k % 4 ? "" : `${5 * k} %`, parts: [
      { value, style: "before", title: `${value} units, by weights` }, { value: ofPicture[k], style: "picture", title: `${ofPicture[k]} units, on this picture` }] })),
    "Units by the share of the other column"),
    h("p", { class: "remark" }, "Units by the share of the other column, 0 to 100 %. Grey: weights alone. Orange: on this picture."),
    h("p", { class: "formula" }, `unit ${state.channel + 1} of column ${state.column + 1}: ${percent(weights.values[at])} by weights, ${percent(seen.values[at])} on this picture`)];
}

async function dropoutPanel(step, state) {
  const input = await activation(state.picture, step.input), { rate, inverted } = net.dropout;
  const figures = h("div", { class: "columns" });
  const draw = () => {
    const masked = input.values.map((x) => (Math.random() < rate ? NaN : x));
    figures.replaceChildren(...[...Array(input.shape[0]).keys()].map((column) => {
      const units = input.shape[1], across = Math.ceil(Math.sqrt(3 * units)), limit = brightest(input);
      const canvas = canvasOf(across, Math.ceil(units / across), "units with a mask"), context = canvas.getContext("2d");
      const image = context.createImageData(canvas.width, canvas.height);
      masked.subarray(column * units, (column + 1) * units).forEach((value, i) => {
        if (Number.isNaN(value)) image.data.set([160, 60, 20, 255], 4 * i);
        else paint(image.data, 4 * i, value, limit);
      });
      context.putImageData(image, 0, 0);
      return h("figure", {}, canvas, h("figcaption", {}, `column ${column + 1}`));
    }));
  };
  draw();
  const test = inverted ? `In training what is left is divided by ${1 - rate}; at test nothing changes.` : `At test no unit is dropped and each is multiplied by ${1 - rate}.`;
  return [h("h2", {}, "A mask as training draws it"), figures,
    h("p", {}, `Orange: dropped, each with probability ${rate}. ${test}`),
    h("button", { type: "button", onclick: draw }, "Draw another mask")];
}

function sumPanel(about, step) {
  const rows = about.sum.map(({ columns, bias, logit }, k) => h("tr", {}, h("td", {}, h("bdi", {}, about.answer.central[k])),
    columns.map((value) => h("td", {}, number(value))), h("td", {}, number(bias)), h("td", {}, number(logit))));
  const head = ["class", ...about.sum[0].columns.map((_, k) => `column ${k + 1}`), "bias", "score"];
  const layer = layerOf(step.layer);
  return [h("h2", {}, "The sum of the columns"),
    h("div", { class: "scroll", tabindex: 0 }, h("table", {}, h("thead", {}, h("tr", {}, head.map((text) => h("th", {}, text)))), h("tbody", {}, rows))),
    layer.received ? h("p", {}, `${layer.received.toLocaleString("en")} sums cross: ${bytes(layer.bytes)} a picture.`) : undefined];
}

async function viewsPanel(about) {
  const { top, best, without } = about.answer, winner = top[0], second = top[1];
  const canvases = await Promise.all(net.views.map((view) => viewCanvas(about, view)));
  const lead = winner.views.map((p, k) => p - (second ? second.views[k] : 0));
  const views = canvases.map((canvas, k) => {
    const { label, class: name, probability: p } = best[k], against = label !== winner.label;
    const decided = without[k] !== winner.label;
    return h("figure", { class: `view ${decided ? "decided" : ""} ${against ? "against" : ""}` }, canvas,
      h("figcaption", {}, h("bdi", {}, name), ` ${percent(p)}`, h("br"), `lead ${lead[k] < 0 ? "−" : "+"}${percent(Math.abs(lead[k]))}`));
  });
  const order = [...lead.keys()].sort((a, b) => lead[b] - lead[a]), place = (k) => `${["top left", "top right", "centre", "bottom left", "bottom right"][k % 5]}${net.views[k][2] ? " mirrored" : ""}`;
  const agree = best.filter(({ label }) => label === winner.label).length;
  const deciding = without.flatMap((label, k) => (label === winner.label ? [] : [place(k)]));
  return [h("h2", {}, "Five best classes"),
    h("div", { class: "scroll", tabindex: 0 }, h("table", {}, h("thead", {}, h("tr", {}, ["class", "mean", ...net.views.map((_, k) => `${k + 1}`)].map((text) => h("th", {}, text)))),
      h("tbody", {}, top.map((row) => h("tr", {}, h("td", {}, h("bdi", {}, row.class), barOf(row.mean)), h("td", {}, percent(row.mean)),
        row.views.map((p) => h("td", {}, percent(p)))))))),
    h("h2", {}, "Which views decided"),
    h("p", {}, `${agree} of ${net.views.length} views have `, h("bdi", {}, winner.class), " first. ",
      second ? `Most for it, against the second class: ${place(order[0])}; least: ${place(order[order.length - 1])}. ` : "",
      deciding.length ? `Without one of these views another class would win: ${deciding.join(", ")} (blue frame).` : "The answer stays the same without any single view."),
    h("div", { class: "row views" }, views),
    h("p", { class: "remark" }, "Lead: the view's probability of the best class less that of the second. Dashed: the view has another class first.")];
}

function barOf(share) {
  const bar = h("span", { class: "bar" });
  bar.style.width = `${100 * share}%`;
  return bar;
}
