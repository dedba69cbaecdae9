// A name for this browser, for the member `device_id` of a top-up: 32 random characters that stay in the browser. It says nothing
// about the device or its owner, and whoever clears the browser's storage gets another.
//
//   <script src="/portal/device.js"></script>
//   tollgateDevice.id()                        // the name
//   <input name="device_id" data-tollgate-device-id>   // gets it as its value, anything else as its text
(function () {
  "use strict";
  var KEY = "tollgate_device_id";
  var held = null;

  function isName(text) {
    return typeof text === "string" && /^[A-Za-z0-9_.-]{16,32}$/.test(text);
  }

  // Storage may be closed to us, in a private window say: the name then lasts as long as the page.
  function stored() {
    try {
      return window.localStorage.getItem(KEY);
    } catch (refused) {
      return null;
    }
  }

  function store(name) {
    try {
      window.localStorage.setItem(KEY, name);
    } catch (refused) {
      // The page has it.
    }
  }

  function made() {
    var bytes = window.crypto.getRandomValues(new Uint8Array(16));
    return Array.prototype.map
      .call(bytes, function (byte) {
        return ("0" + byte.toString(16)).slice(-2);
      })
      .join("");
  }

  function id() {
    if (held === null) {
      held = stored();
      if (!isName(held)) {
        held = made();
        store(held);
      }
    }
    return held;
  }

  function fill() {
    var places = document.querySelectorAll("[data-tollgate-device-id]");
    Array.prototype.forEach.call(places, function (place) {
      if ("value" in place) {
        place.value = id();
      } else {
        place.textContent = id();
      }
    });
  }

  window.tollgateDevice = Object.freeze({ id: id });
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", fill);
  } else {
    fill();
  }
})();
