// The chosen map, large, with the numbers of the step under the pointer.

async function lens(step, state) {
  const values = await activation(state.picture, step.name);
  if (values.shape.length === 2) return unitLens(step, state, values);
  const title = h("h2", {}, `${step.name}: map ${state.channel + 1} of column ${state.column + 1}`);
  if (step.kind === "activation") return [title, await activationLens(step, state, values)];
  if (step.kind === "norm") return [title, await normLens(step, state, values)];
  if (step.kind === "pool" && step.pool.kind === "max") return [title, await poolLens(step, state)];
  const plain = large(mapOf(values, state.column, state.channel), brightest(values), state,
    (value) => [`value ${number(value)}`]);
  return [title, plain, step.kind.startsWith("conv") ? await kernel(step, state) : undefined];
}

// A large map; said(value, x, y) gives the lines below it for the pixel under the pointer.
function large(map, limit, state, said, extent = 1) {
  const canvas = mapCanvas(map, limit, "The chosen map; arrow keys move the pixel");
  const mark = h("div", { class: "mark" }), other = h("div", { class: "mark other", hidden: "" });
  const below = h("div", { "aria-live": "polite" });
  const start = [state.x * map.width, state.y * map.height].map(Math.floor);
  onPixel(canvas, start, (x, y) => {
    [state.x, state.y] = [(x + 0.5) / map.width, (y + 0.5) / map.height];
    place(mark, canvas, x, y, extent, extent);
    below.replaceChildren(h("p", { class: "remark" }, `row ${y + 1}, pixel ${x + 1} of ${map.height} × ${map.width}`),
      ...said(map.values[y * map.width + x], x, y, mark, other, canvas).map((line) => (line instanceof Node ? line : h("p", { class: "formula" }, line))));
  });
  return [h("div", { class: "large" }, canvas, other, mark), below];
}

const small = (map, limit, caption) =>
  h("figure", {}, mapCanvas(map, limit, caption), h("figcaption", {}, caption));

async function kernel(step, state) {
  const { shape, values, inputs } = await kernelOf(step.layer), [, units, parts, height, width] = shape;
  const size = height * width, start = (state.column * units + state.channel) * parts * size;
  const own = values.subarray(start, start + parts * size);
  if (!inputs) return [h("h3", {}, "Its kernel"), h("figure", {}, colours(own, height, width, brightest({ values })),
    h("figcaption", {}, `${height} × ${width} × 3, as red, green and blue; grey is 0`))];
  const limit = own.reduce((most, x) => Math.max(most, Math.abs(x)), 0) || 1;
  const before = (await activation(state.picture, step.input)).shape[1];
  const slices = inputs[state.column][state.channel].map((input, k) => {
    const column = Math.floor(input / before), crosses = column !== state.column;
    const slice = { height, width, values: own.subarray(k * size, (k + 1) * size) };
    return h("figure", { class: crosses ? "crosses" : undefined }, mapCanvas(slice, limit, "slice of the kernel"),
      h("figcaption", {}, `map ${(input % before) + 1} of column ${column + 1}`));
  });
  return [h("h3", {}, `The ${slices.length} input maps that it weighs most`), h("div", { class: "row slices" }, slices),
    step.kind === "conv_crosses" ? h("p", { class: "remark crosses" }, "Orange: from the other column.") : undefined];
}

function colours(own, height, width, limit) {
  const canvas = canvasOf(width, height, "kernel"), context = canvas.getContext("2d");
  canvas.className = "kernel";
  const image = context.createImageData(width, height), size = height * width;
  for (let i = 0; i < size; i++)
    for (let c = 0; c < 4; c++) image.data[4 * i + c] = c === 3 ? 255 : 127.5 + (127.5 * own[c * size + i]) / limit;
  context.putImageData(image, 0, 0);
  return canvas;
}

async function activationLens(step, state, values) {
  const input = await activation(state.picture, step.input), limit = brightest(input);
  const before = mapOf(input, state.column, state.channel), after = mapOf(values, state.column, state.channel);
  const tanh = { ...before, values: before.values.map(Math.tanh) };
  const relu = { ...before, values: before.values.map((x) => Math.max(0, x)) };
  const zero = percent(input.values.filter((x) => x <= 0).length / input.values.length);
  const full = percent(input.values.filter((x) => Math.abs(x) > 2).length / input.values.length);
  return [
    large(before, limit, state, (x) => [
      `x = ${number(x)}`, `ReLU: max(0, x) = ${number(Math.max(0, x))}, slope ${x > 0 ? 1 : 0}`,
      `tanh x = ${number(Math.tanh(x))}, slope ${number(1 - Math.tanh(x) ** 2)}`]),
    h("div", { class: "row" }, small(relu, limit, "ReLU"), small(tanh, 1, "tanh"),
      net.activation === "relu" ? undefined : small(after, brightest(values), `this run: ${net.activation}`)),
    h("p", {}, `Of all values of this layer ReLU makes ${zero} zero; tanh has a slope under 0.07 for ${full} of them.`)];
}

async function normLens(step, state, values) {
  const input = await activation(state.picture, step.input), limit = brightest(input);
  const { k, alpha, beta } = net.lrn;
  return [
    large(mapOf(input, state.column, state.channel), limit, state, (_, x, y) => {
      const { before, after, sum, base, denominator, neighbours } = normalized(input, state.column, state.channel, y, x);
      const squares = neighbours.map(({ before: a }) => `${number(a)}²`).join(" + ");
      const chart = (when) => h("figure", {}, bars(neighbours.map((one) => ({ label: one.channel + 1, here: one.here,
        parts: [{ value: one[when], style: when }] })), `The channels of the window, ${when}`),
      h("figcaption", {}, `${when}, largest ${number(Math.max(...neighbours.map((one) => one[when])))}`));
      return [
        h("div", { class: "row" }, chart("before"), chart("after")),
        h("p", { class: "remark" }, "The maps of the window, by their numbers. Framed: the chosen map."),
        `sum of a² = ${squares} = ${number(sum)}`,
        `denominator = (k + α sum)^β = (${k} + ${number(alpha)} × ${number(sum)})^${beta} = ${number(base)}^${beta} = ${number(denominator)}`,
        `b = a / denominator = ${number(before)} / ${number(denominator)} = ${number(after)}`];
    }),
    h("div", { class: "row" }, small(mapOf(input, state.column, state.channel), limit, "before"),
      small(mapOf(values, state.column, state.channel), brightest(values), "after")),
    h("p", { class: "remark" }, `Window of ${net.lrn.n} channels ${net.lrn.scope === "layer" ? "across both columns" : "within the column"}.`)];
}

async function poolLens(step, state) {
  const input = await activation(state.picture, step.input), limit = brightest(input);
  const { window, stride, ceil } = step.pool, overlaps = window > stride;
  const map = mapOf(input, state.column, state.channel);
  const pooled = (size, by) => mapOf(maxPool({ shape: [1, 1, map.height, map.width], values: map.values }, size, by, ceil), 0, 0);
  const [mine, plain] = [pooled(window, stride), pooled(stride, stride)];
  const windowAt = (size, x, y, most) => {
    const left = Math.min(Math.floor(x / stride), most.width - 1) * stride, top = Math.min(Math.floor(y / stride), most.height - 1) * stride;
    return { left, top, width: Math.min(size, map.width - left), height: Math.min(size, map.height - top) };
  };
  return [
    large(map, limit, state, (_, x, y, mark, other, canvas) => {
      const [a, b] = [windowAt(window, x, y, mine), windowAt(stride, x, y, plain)];
      place(mark, canvas, a.left, a.top, a.width, a.height);
      other.hidden = !overlaps;
      place(other, canvas, b.left, b.top, b.width, b.height);
      return [h("div", { class: "row" }, windowTable(map, a, `this run: ${window} × ${window}, ${stride} apart`),
        overlaps ? windowTable(map, b, `without overlap: ${stride} × ${stride}, ${stride} apart`) : undefined)];
    }),
    h("div", { class: "row" }, small(mine, limit, `${window}/${stride}: ${mine.height} × ${mine.width}`),
      overlaps ? small(plain, limit, `${stride}/${stride}: ${plain.height} × ${plain.width}`) : undefined)];
}

function windowTable(map, { left, top, width, height }, caption) {
  const rows = [...Array(height).keys()].map((v) =>
    [...Array(width).keys()].map((u) => map.values[(top + v) * map.width + left + u]));
  const most = Math.max(...rows.flat());
  return h("div", {}, h("p", { class: "remark" }, caption),
    h("table", {}, h("tbody", {}, rows.map((row) => h("tr", {}, row.map((value) =>
      h("td", { class: value === most ? "best" : undefined }, number(value))))))),
    h("p", {}, `largest: ${number(most)}`));
}

async function unitLens(step, state, { values, shape }) {
  const at = state.column * shape[1] + state.channel, value = values[at];
  const of = step.kind === "sum" ? "" : ` of column ${state.column + 1}`;
  const title = h("h2", {}, `${step.name}: unit ${state.channel + 1}${of}`);
  const lines = (...texts) => [title, texts.map((text) => h("p", { class: "formula" }, text))];
  if (step.kind === "sum") return lines(h("bdi", {}, net.classes[state.channel]), `score ${number(value)}`);
  if (step.kind.startsWith("full")) return [lines(`value ${number(value)}`), await unitInputs(step, state)];
  const before = (await activation(state.picture, step.input)).values[at];
  if (step.kind === "activation") return lines(`x = ${number(before)}`, `ReLU: max(0, x) = ${number(Math.max(0, before))}`,
    `tanh x = ${number(Math.tanh(before))}, slope ${number(1 - Math.tanh(before) ** 2)}`);
  if (step.kind === "dropout") return lines(`before ${number(before)}`, `at test ${number(value)}`);
  return lines(`value ${number(value)}`);
}

// The maps or units below that a unit weighs most, with what they are on this picture.
async function unitInputs(step, state) {
  const input = step.input === "image" ? undefined : await activation(state.picture, step.input);
  const inputs = net.kernels[step.layer].inputs[state.column]?.[state.channel];
  if (!input || !inputs) return undefined;
  const limit = brightest(input), maps = input.shape.length === 4;
  const figures = inputs.map((index) => {
    const column = Math.floor(index / input.shape[1]), channel = index % input.shape[1];
    const map = mapOf(input, column, channel), name = `${maps ? "map" : "unit"} ${channel + 1} of column ${column + 1}`;
    return h("figure", { class: column === state.column ? undefined : "crosses" }, mapCanvas(map, limit, name),
      h("figcaption", {}, maps ? name : `${name}: ${number(map.values[0])}`));
  });
  return [h("h3", {}, `The ${figures.length} inputs that it weighs most, on this picture`), h("div", { class: "row slices" }, figures),
    step.kind === "full_crosses" ? h("p", { class: "remark crosses" }, "Orange: from the other column.") : undefined];
}
