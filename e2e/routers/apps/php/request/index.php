<?php
// A front controller that takes its route from wherever it comes: $_REQUEST holds
// the query and the form.
require __DIR__ . '/../site.php';

$path = $_REQUEST['route'] ?? '';
if (!is_string($path) || $path === '') {
    $path = rawurldecode(strtok($_SERVER['REQUEST_URI'], '?') ?: '/');
}
route($path, method(true));
