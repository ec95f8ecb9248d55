// Follows a run: the server sends each new item as the HTML that the page itself has.
const items = document.getElementById("items");
const source = new EventSource(items.dataset.live);
source.addEventListener("item", (event) => {
  items.insertAdjacentHTML("beforeend", event.data);
});
source.addEventListener("end", () => {
  source.close();
  location.reload();
});
