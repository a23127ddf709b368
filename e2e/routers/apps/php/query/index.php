<?php
// A front controller by query: /?route=wallet/withdraw, and ?url= as rewrite rules
// set it.
require __DIR__ . '/../site.php';

$path = $_GET['route'] ?? $_GET['url'] ?? '';
if (!is_string($path) || $path === '') {
    $path = rawurldecode(strtok($_SERVER['REQUEST_URI'], '?') ?: '/');
}
route($path, method(true));
