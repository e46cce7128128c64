throw new TypeError("This module fails on purpose");
