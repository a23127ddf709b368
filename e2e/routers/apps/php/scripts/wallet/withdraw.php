<?php
// A script of its own, which asks for no method.
require __DIR__ . '/../../site.php';
ran('withdraw');
