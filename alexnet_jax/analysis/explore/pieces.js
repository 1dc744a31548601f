// The training images that drive a unit most, and the piece of each that it sees (pieces.py).

const kept = once(() => read("training"));

const PIECES = {
  en: {
    title: (count, map, unit, column) => `The ${count} training images that drive ${map ? "map" : "unit"} ${unit} of column ${column} most`,
    none: "No training images are kept for this one: the page has those of the units that are strongest in its pictures.",
    about: (layer, searched) => `Of ${searched} training images, spread evenly over the split. Below each: its class, and the largest value of ${layer}, before the nonlinearity.`,
    here: "on this picture",
    frame: "Framed: the piece that the strongest pixel sees. What is outside cannot change it.",
    image: (place) => `training image ${place}`,
  },
  ko: {
    title: (count, map, unit, column) => `${column}열의 ${map ? "맵" : "유닛"} ${unit}을(를) 가장 강하게 자극하는 학습 이미지 ${count}장`,
    none: "여기에는 남겨 둔 학습 이미지가 없습니다. 이 페이지의 사진에서 가장 강한 유닛의 이미지만 들어 있습니다.",
    about: (layer, searched) => `학습 데이터 전체에서 고르게 뽑은 ${searched}장 가운데서 찾았습니다. 이미지 아래는 클래스와, 비선형 함수를 거치기 전 ${layer}의 가장 큰 값입니다.`,
    here: "지금 이 사진에서는",
    frame: "테두리: 가장 강한 픽셀이 보는 부분입니다. 그 바깥은 이 값을 바꾸지 못합니다.",
    image: (place) => `학습 이미지 ${place}`,
  },
};

async function pieces({ layer }, { picture, column, channel, language }) {
  const units = kept()?.layers[layer], say = PIECES[language];
  if (!units) return undefined;
  const best = units[`${column} ${channel}`], text = (tag, ...parts) => h(tag, { lang: language }, ...parts);
  if (!best) return text("p", say.none);
  const here = mapOf(await activation(picture, layer), column, channel).values.reduce((a, b) => Math.max(a, b));
  const figures = best.map(({ image, value, frame }, index) => {
    const { jpeg: data, class: name } = kept().images[image], mark = h("div", { class: "mark" });
    if (frame) place(mark, { width: net.size, height: net.size }, ...frame);
    return h("figure", {}, h("div", { class: "piece" }, jpeg({ jpeg: data, file: `${say.image(index + 1)}: ${name}` }), frame ? mark : undefined),
      h("figcaption", {}, h("bdi", {}, name), h("br"), number(value)));
  });
  return [text("h2", say.title(best.length, best[0].frame, channel + 1, column + 1)), h("div", { class: "pieces" }, figures),
    h("p", { class: "formula", lang: language }, `${say.here}: ${number(here)}`),
    h("p", { class: "remark", lang: language }, say.about(layer, kept().searched.toLocaleString("en")), best[0].frame ? ` ${say.frame}` : "")];
}
