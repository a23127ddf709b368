<?php
// A front controller by PATH_INFO: /index.php/wallet/withdraw, and all paths that
// are no files.
require __DIR__ . '/../site.php';

route($_SERVER['PATH_INFO'] ?? parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '/', method(true));
